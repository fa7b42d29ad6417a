"""A method is a learner and an objective: "coop", "maple+kdpl", "promptsrc+fdbpl" …

An objective is a loss, perhaps with a term beside it; see `objectives/`.
"""

import dataclasses
import types
from collections.abc import Mapping

from fdbpl_jax.errors import UserError, unknown_name


@dataclasses.dataclass(frozen=True)
class Method:
    """What is learned, and on what.

    Attributes:
      learner: "coop", "cocoop", "vpt", "maple", "ivlp" or "promptkd" (see `prompts/`).
      loss: "cross_entropy", "kdpl", "fdbpl", "fdbpl_release" or "promptkd".
      term: "", "kgcoop", "promptsrc" or "prograd": what holds the prompts back.
      labels: "data": the data set's; "pseudo": the student's own choice of images;
        "none": every training image, none of their labels.
      names: "base": the training classes; "all": new ones as well, so the method is
        transductive; "list": a list of names that has nothing to do with them.
    """

    learner: str
    loss: str
    term: str = ""
    labels: str = "data"
    names: str = "base"

    @property
    def negative(self) -> bool:
        """A negative prompt is learned beside the positive one."""
        return self.loss in ("fdbpl", "fdbpl_release")

    @property
    def online(self) -> bool:
        """The teacher sees every batch of pixels."""
        return self.loss in ("kdpl", "promptkd")

    @property
    def prompts_images(self) -> bool:
        """Prompts enter the image tower, which so runs at every step."""
        return self.learner in ("vpt", "maple", "ivlp", "promptkd")

    @property
    def reads_table(self) -> bool:
        """Training reads an RIL table: stored features, or what the teacher said."""
        return self.negative or not (self.online or self.prompts_images)


_PRESETS = {
    "coop": Method("coop", "cross_entropy"),
    "cocoop": Method("cocoop", "cross_entropy"),
    "vpt": Method("vpt", "cross_entropy"),
    "maple": Method("maple", "cross_entropy"),
    "promptsrc": Method("ivlp", "cross_entropy", term="promptsrc"),
    "kgcoop": Method("coop", "cross_entropy", term="kgcoop"),
    "prograd": Method("coop", "cross_entropy", term="prograd"),
}
_LOSSES = {
    "kdpl": {"loss": "kdpl"},
    "kdpl-ca": {"loss": "kdpl", "names": "list"},
    "fdbpl": {"loss": "fdbpl"},
    "fdbpl_release": {"loss": "fdbpl_release"},
}
_LISTED = {"kgcoop", "promptsrc", "prograd"}

# What a preset and a loss cannot be together, and why.
_IMPOSSIBLE: Mapping[str, str] = types.MappingProxyType(
    {
        **{
            f"upl+{loss}": f"UPL is a choice of labels, and {loss} looks at no label"
            for loss in _LOSSES
        },
        **{
            f"{preset}+{loss}": "PromptKD learns from the teacher already, in the "
            "teacher's feature space, where the student's text has no place"
            for preset in ("promptkd", "promptkd-inductive")
            for loss in _LOSSES
        },
        **{
            f"{preset}+kdpl-ca": f"{preset} holds on to the text of the training "
            "classes, and kdpl-ca trains on a list of other names"
            for preset in sorted(_LISTED)
        },
    }
)


def _methods() -> dict[str, Method]:
    found = {}
    for preset, method in _PRESETS.items():
        found[preset] = method
        for loss, change in _LOSSES.items():
            if f"{preset}+{loss}" not in _IMPOSSIBLE:
                found[f"{preset}+{loss}"] = dataclasses.replace(method, **change)
    found["upl"] = Method("coop", "cross_entropy", labels="pseudo")
    whole = Method("promptkd", "promptkd", labels="none", names="all")
    found["promptkd"] = whole
    found["promptkd-inductive"] = dataclasses.replace(whole, names="base")
    return found


METHODS: Mapping[str, Method] = types.MappingProxyType(_methods())


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
            "`python -m fdbpl_jax.methods` lists those there are.",
        )
    raise unknown_name("method", name, METHODS)
