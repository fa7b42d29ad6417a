"""The table of methods: "coop", "maple+kdpl", "promptsrc+fdbpl" …

A method is a learner × a loss × a regularizer, with its published settings. A preset's
name stands for its learner, regularizer and own loss; "+loss" puts another in place.
"""

import dataclasses
import enum

from fdbpl_jax.config import OptimConfig, PromptConfig
from fdbpl_jax.errors import UserError, unknown_name
from fdbpl_jax.learners.cocoop import COCOOP
from fdbpl_jax.learners.coop import COOP
from fdbpl_jax.learners.learner import Learner
from fdbpl_jax.learners.maple import MAPLE
from fdbpl_jax.learners.promptkd import PROMPTKD as PROMPTKD_LEARNER
from fdbpl_jax.learners.vision import IVLP, VPT
from fdbpl_jax.losses.cross_entropy import CROSS_ENTROPY
from fdbpl_jax.losses.fdbpl import FDBPL
from fdbpl_jax.losses.fdbpl_release import FDBPL_RELEASE
from fdbpl_jax.losses.kdpl import KDPL, PROMPTKD
from fdbpl_jax.losses.loss import Loss
from fdbpl_jax.losses.regularizers import KGCOOP, PROGRAD, PROMPTSRC, Regularizer
from fdbpl_jax.methods.published import OPTIM, PROMPT, SOURCE, by_protocol


class Images(enum.Enum):
    """Which images a method trains on."""

    LABELLED = "few labelled images per class"
    PSEUDO = "per class the images that the student is surest of"
    UNLABELLED = "all images, without labels"


class Names(enum.Enum):
    """Which class names a method trains on."""

    TRAINING = "the training classes"
    ALL = "new classes too: the method is transductive"
    LIST = "a list of names that has nothing to do with the classes"


@dataclasses.dataclass(frozen=True)
class Method:
    """What is learned, how, and with which published settings."""

    name: str
    learner: Learner
    loss: Loss
    optim: OptimConfig  # of base-to-new, as `prompt` and `source`: see `in_protocol`
    prompt: PromptConfig
    source: str  # of the settings
    regularizer: Regularizer | None = None
    images: Images = Images.LABELLED
    names: Names = Names.TRAINING

    def in_protocol(self, protocol: str) -> "Method":
        """The method with its published settings in a protocol."""
        change = by_protocol(self.name, protocol)
        if change is None:
            return self
        return dataclasses.replace(
            self,
            optim=dataclasses.replace(self.optim, **change.optim),
            prompt=dataclasses.replace(self.prompt, **change.prompt),
            source=change.source,
        )

    @property
    def reads_table(self) -> bool:
        """Training reads a RIL table: stored features, or the teacher's labels."""
        sees_pixels = self.loss.online or self.learner.prompts_images
        return self.loss.negative or not sees_pixels

    @property
    def has_teacher(self) -> bool:
        """Training reads the teacher's labels, of a table or of each batch."""
        return self.loss.online or self.loss.negative

    @property
    def measures_rejection(self) -> bool:
        """There is a negative prompt, and image features are the same under both."""
        return self.loss.negative and self.learner.context_only


# By preset: learner, regularizer.
_PRESETS: dict[str, tuple[Learner, Regularizer | None]] = {
    "coop": (COOP, None),
    "cocoop": (COCOOP, None),
    "vpt": (VPT, None),
    "maple": (MAPLE, None),
    "promptsrc": (IVLP, PROMPTSRC),
    "kgcoop": (COOP, KGCOOP),
    "prograd": (COOP, PROGRAD),
}
_LOSSES: dict[str, tuple[Loss, Names]] = {
    "kdpl": (KDPL, Names.TRAINING),
    "kdpl-ca": (KDPL, Names.LIST),
    "fdbpl": (FDBPL, Names.TRAINING),
    "fdbpl_release": (FDBPL_RELEASE, Names.TRAINING),
}


def _combined(preset: str, loss_name: str) -> Method:
    learner, regularizer = _PRESETS[preset]
    loss, names = _LOSSES[loss_name] if loss_name else (CROSS_ENTROPY, Names.TRAINING)
    paper = loss.optim if learner.context_only else None
    return Method(
        name=f"{preset}+{loss_name}" if loss_name else preset,
        learner=learner,
        loss=loss,
        optim=paper or OPTIM[preset],
        prompt=PROMPT[preset],
        source="FDBPL" if paper else SOURCE[preset],
        regularizer=regularizer,
        names=names,
    )


def _standalone(
    name: str, learner: Learner, loss: Loss, images: Images, names: Names
) -> Method:
    settings = OPTIM[name], PROMPT[name], SOURCE[name]
    return Method(name, learner, loss, *settings, images=images, names=names)


def _why_impossible() -> dict[str, str]:
    """Combinations that have no meaning, and why."""
    reasons = {}
    for loss in _LOSSES:
        reasons[f"upl+{loss}"] = f"UPL is a choice of labels, and {loss} reads no label"
        for preset in ("promptkd", "promptkd-inductive"):
            reasons[f"{preset}+{loss}"] = (
                "PromptKD learns from the teacher already, in the teacher's feature "
                "space, where the student's text has no place"
            )
    for preset, (_, regularizer) in _PRESETS.items():
        if regularizer:
            reasons[f"{preset}+kdpl-ca"] = (
                f"{preset} stays near the text of the training classes, and kdpl-ca "
                "trains on a list of other names"
            )
    return reasons


_IMPOSSIBLE = _why_impossible()


def _methods() -> dict[str, Method]:
    methods = [
        _combined(preset, loss)
        for preset in _PRESETS
        for loss in ("", *_LOSSES)
        if f"{preset}+{loss}" not in _IMPOSSIBLE
    ]
    kd = PROMPTKD_LEARNER, PROMPTKD, Images.UNLABELLED
    methods += [
        _standalone("upl", COOP, CROSS_ENTROPY, Images.PSEUDO, Names.TRAINING),
        _standalone("promptkd", *kd, Names.ALL),
        _standalone("promptkd-inductive", *kd, Names.TRAINING),
    ]
    return {method.name: method for method in methods}


METHODS: dict[str, Method] = _methods()


def method_named(name: str) -> Method:
    """One of `METHODS`.

    Raises:
      UserError: there is none of that name; where a preset and a loss cannot go
        together, the message says why.
    """
    if name in METHODS:
        return METHODS[name]
    if name in _IMPOSSIBLE:
        raise UserError(
            f"there is no method '{name}': {_IMPOSSIBLE[name]}",
            "`python -m fdbpl_jax.methods` lists the methods.",
        )
    raise unknown_name("method", name, METHODS)
