"""What a user decides of `learn`, and the settings that follow."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from fdbpl_jax.config import Count, CountOrNone, NotNegative, RunConfig, Seed
from fdbpl_jax.data.pipeline import epoch_steps
from fdbpl_jax.errors import UserError
from fdbpl_jax.experiments.settings import config_key, default_config, run_config
from fdbpl_jax.methods.table import Images, Method, Names, method_named

# Trained and compared where there are labels, the simpler ones first. Each learns a
# text context alone, from the rows of the table.
CANDIDATES = (
    *("coop", "coop+fdbpl", "kgcoop", "kgcoop+fdbpl", "prograd", "prograd+fdbpl"),
)
UNSUPERVISED = "coop+fdbpl"  # where there are none

_EPOCHS = 50
_UPDATES = (150, 2000)  # at least and at most, whatever the number of images
_FDBPL_LR, _FDBPL_BATCH = 0.02, 32  # for few images: docs/defaults.md


@dataclasses.dataclass(frozen=True)
class LearnOptions:
    """What a user decides; all of it can be left as it is."""

    student: str = ""  # a directory or hub id of a CLIP; empty: the embedded one
    teacher: str = ""
    classes: tuple[str, ...] = ()  # names; needed for images without labels
    template: str = ""  # hand-written prompt of the data, "{}" for the class
    shots: CountOrNone = 0  # training images per class; 0: all
    # To choose from, the simpler ones first; none: those of this module and zero-shot.
    methods: tuple[str, ...] = ()
    minutes: NotNegative = 0.0  # about how long it may take; 0: no limit
    regions: Count = 8  # of each image in the table
    seed: Seed = 1  # of validation images, shots, and order
    keep_validation: bool = False  # do not train again on everything in the end
    skip_broken_images: bool = False  # leave them out; else they are refused
    workdir: str = "runs"  # of tables, features and finished trainings
    overwrite: bool = False  # replace an existing classifier


def settings(options: LearnOptions, methods: Sequence[str], images: int) -> RunConfig:
    """The settings of trainings of methods on so many images."""
    config = default_config()
    config.protocol, config.eval_split = "few_shot", "val"
    config.methods, config.seeds = ",".join(methods), (options.seed,)
    config.student, config.teacher = options.student, options.teacher
    config.ril.regions, config.data.template = options.regions, options.template
    for name in methods:
        method, optim = method_named(name), config.optim_for[config_key(name)]
        optim.batch_size = method.optim.batch_size
        if method.loss.negative and method.learner.context_only:
            optim.lr, optim.batch_size = _FDBPL_LR, _FDBPL_BATCH
        optim.epochs = epochs(images, optim.batch_size)
    return run_config(config)


def methods_of(options: LearnOptions, has_labels: bool) -> tuple[str, ...]:
    """The methods to try.

    Raises:
      UserError: there is none of a name, or it cannot learn from these images.
    """
    methods = options.methods or (CANDIDATES if has_labels else (UNSUPERVISED,))
    for method in map(method_named, methods):
        if method.names is Names.LIST:
            raise UserError(
                f"{method.name} learns from a list of other names", "Take another."
            )
        if not has_labels and needs_labels(method):
            raise UserError(
                f"{method.name} learns from labels, and these images have none",
                f"Take a method without, such as {UNSUPERVISED} or upl.",
            )
    return methods


def needs_labels(method: Method) -> bool:
    """Whether a method learns from the labels of images, not from its own choice."""
    return method.loss.labels and method.images is not Images.PSEUDO


def epochs(images: int, batch_size: int) -> int:
    """How often the images are gone through: 50 times, within `_UPDATES`."""
    least, most = _UPDATES
    steps = epoch_steps(images, batch_size)[1]
    return max(-(-least // steps), min(_EPOCHS, max(1, most // steps)))


def workdir_of(options: LearnOptions) -> Path:
    """The workdir, with "~" expanded."""
    return Path(options.workdir).expanduser()
