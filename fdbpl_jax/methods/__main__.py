"""`python -m fdbpl_jax.methods`: every method with its settings, as a table.

`--for=maple` or any other beginning of a name shortens it; the settings are those of
`--protocol=base2new` or of another protocol.
"""

import jax
import jax.numpy as jnp
from absl import flags
from tabulate import tabulate

from fdbpl_jax.cli import run_app
from fdbpl_jax.clip.config import parse_config
from fdbpl_jax.clip.tokenizer import load_tokenizer
from fdbpl_jax.errors import unknown_name
from fdbpl_jax.learners.coop import COOP, negative_prompt
from fdbpl_jax.learners.learner import Start, init_prompt
from fdbpl_jax.methods.published import PROTOCOLS
from fdbpl_jax.methods.table import METHODS, Images, Method, Names
from fdbpl_jax.shapes import embedded

_FOR = flags.DEFINE_string("for", "", "Only methods whose names begin so.")
_PROTOCOL = flags.DEFINE_enum(
    "protocol", "base2new", list(PROTOCOLS), "Whose settings these are."
)
_COLUMNS = (
    *("method", "learner", "loss", "data", "trained values"),
    *("epochs", "batch", "learning rate", "settings from"),
)
_STUDENT = parse_config({})  # ViT-B/32; what prompts see of ViT-B/16 is no different
_TEACHER_WIDTH = 768  # joint width of ViT-L/14
_NAMES = {
    Names.TRAINING: "",
    Names.ALL: ", all classes",
    Names.LIST: ", a list of names",
}


def trained_values(method: Method) -> int:
    """Numbers that a method learns with a ViT-B student and a ViT-L/14 teacher."""
    tokenizer = load_tokenizer(embedded("student"))  # any that spells the words
    parts = [(method.learner, method.prompt)]
    if method.loss.negative:
        parts.append((COOP, negative_prompt(tokenizer, method.prompt)))
    text = _STUDENT.text
    embedding = jax.ShapeDtypeStruct((text.vocab_size, text.tower.width), jnp.float32)
    count = 0
    for learner, prompt in parts:

        def make(key, params, learner=learner, prompt=prompt):
            start = Start(_STUDENT, params, tokenizer, prompt, 1, _TEACHER_WIDTH)
            return init_prompt(key, learner, start)

        params = {"text": {"token_embedding": embedding}}
        shapes = jax.eval_shape(make, jax.random.key(0), params)
        count += sum(leaf.size for leaf in jax.tree.leaves(shapes))
    return count


def _data(method: Method) -> str:
    """What training reads, in words."""
    sees_pixels = method.learner.prompts_images or method.loss.online
    source = "views" if sees_pixels else "stored features"
    if method.reads_table and method.learner.prompts_images:
        source = "stored regions"
    labels = {
        Images.LABELLED: "labels" if method.loss.labels else "no labels",
        Images.PSEUDO: "own labels",
        Images.UNLABELLED: "no labels, all images",
    }[method.images]
    return f"{source}, {labels}{_NAMES[method.names]}"


def _row(name: str) -> tuple[str, ...]:
    method = METHODS[name].in_protocol(_PROTOCOL.value)
    loss = [method.loss.name]
    if method.regularizer:
        loss.append(method.regularizer.name)
    return (
        name,
        method.learner.name,
        " + ".join(loss),
        _data(method),
        f"{trained_values(method):,}",
        str(method.optim.epochs),
        str(method.optim.batch_size),
        f"{method.optim.lr:g}",
        method.source,
    )


def _command() -> None:
    names = [name for name in METHODS if name.startswith(_FOR.value)]
    if not names:
        raise unknown_name("method", _FOR.value, METHODS)
    align = (*["left"] * 4, *["right"] * 4, "left")
    rows = [_row(name) for name in names]
    print(tabulate(rows, _COLUMNS, "pipe", colalign=align, disable_numparse=True))


def main() -> None:
    """Run the command of `sys.argv`."""
    run_app(_command)


if __name__ == "__main__":
    main()
