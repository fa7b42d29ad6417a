"""The protocols of the field: which classes are trained on, and what is tested."""

from collections.abc import Mapping
from typing import NamedTuple

from fdbpl_jax.data.types import Dataset
from fdbpl_jax.errors import UserError


class Protocol(NamedTuple):
    """What is trained on and tested."""

    # `subset`s of the data set's classes, each tested by itself; the first one is
    # trained on.
    classes: tuple[str, ...]
    transfers: bool  # the prompts are tested on other data sets, too


PROTOCOLS: Mapping[str, Protocol] = {
    # CoCoOp (Zhou et al., CVPR 2022): half of the classes are never trained on.
    "base2new": Protocol(("base", "new"), transfers=False),
    # CoOp (Zhou et al., IJCV 2022): all classes, from few images each.
    "few_shot": Protocol(("all",), transfers=False),
    # CoCoOp: from one data set to others, with other classes.
    "cross_dataset": Protocol(("all",), transfers=True),
    # CoOp: from one data set to the same classes in other images.
    "domain_generalization": Protocol(("all",), transfers=True),
}


def refuse_few_classes(protocol: str, dataset: Dataset) -> None:
    """Refuse a data set of which some part that is tested has only one class.

    All of its images are put right whatever is learned.
    """
    least, classes = 2 * len(PROTOCOLS[protocol].classes), len(dataset.class_names)
    if classes >= least:
        return
    do = "Use a data set of more classes"
    if classes > 1:
        do += ", or the protocol few_shot, which tests all classes together"
    raise UserError(
        f"{protocol} needs {least} classes; data set '{dataset.name}' has {classes}",
        f"{do}.",
    )
