"""PromptKD's learner: image prompts, and a projector to the teacher's features.

Classes are the teacher's text features (Li et al., 2024). The projector is a dense
layer, a batch norm, a ReLU and a dense layer. While training the batch norm goes by the
batch; the running mean and variance that it is tested with are no learned values.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fdbpl_jax.learners.linear import apply_linear, init_linear

_EPSILON, _MOMENTUM = 1e-5, 0.1  # of PyTorch's batch norm


def init_projector(key: Array, student: int, teacher: int) -> dict:
    """The projector from the student's joint width to the teacher's."""
    first, second = jax.random.split(key)
    return {
        "first": init_linear(first, student, teacher),
        "norm": {"scale": jnp.ones(teacher), "bias": jnp.zeros(teacher)},
        "second": init_linear(second, teacher, teacher),
    }


def init_running(teacher: int) -> dict[str, Float[Array, " H"]]:
    """The mean and variance before the first batch."""
    return {"mean": jnp.zeros(teacher), "variance": jnp.ones(teacher)}


def project(
    projector: dict, running: dict[str, Array], feature: Float[Array, "B D"]
) -> Float[Array, "B E"]:
    """The student's features as the teacher's, by the running mean and variance."""
    hidden = apply_linear(projector["first"], feature)
    return _rest(projector, hidden, running)


def project_batch(
    projector: dict, running: dict[str, Array], feature: Float[Array, "B D"]
) -> tuple[Float[Array, "B E"], dict[str, Array]]:
    """The same by the batch's own mean and variance, and the running ones after it.

    As in PyTorch, the running variance takes in the unbiased one.
    """
    hidden = apply_linear(projector["first"], feature)
    own = {"mean": hidden.mean(0), "variance": hidden.var(0)}
    seen = own | {"variance": own["variance"] * len(hidden) / max(len(hidden) - 1, 1)}
    after = jax.tree.map(
        lambda old, new: (1 - _MOMENTUM) * old + _MOMENTUM * new, running, seen
    )
    return _rest(projector, hidden, own), jax.lax.stop_gradient(after)


def _rest(
    projector: dict, hidden: Float[Array, "B H"], by: dict[str, Array]
) -> Float[Array, "B E"]:
    norm = projector["norm"]
    scale = norm["scale"] * jax.lax.rsqrt(by["variance"] + _EPSILON)
    normed = (hidden - by["mean"][None]) * scale[None] + norm["bias"][None]
    return apply_linear(projector["second"], jax.nn.relu(normed))
