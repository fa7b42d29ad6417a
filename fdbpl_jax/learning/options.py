"""What a user decides of `learn`, and the settings that follow."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from fdbpl_jax.config import Count, CountOrNone, NotNegative, RunConfig, Seed
from fdbpl_jax.data.pipeline import epoch_steps
from fdbpl_jax.experiments.settings import config_key, default_config, run_config
from fdbpl_jax.methods.table import METHODS

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
    config.ril.regions = options.regions
    for name in methods:
        optim, published = config.optim_for[config_key(name)], METHODS[name].optim
        optim.batch_size = published.batch_size
        if METHODS[name].has_teacher:
            optim.lr, optim.batch_size = _FDBPL_LR, _FDBPL_BATCH
        optim.epochs = epochs(images, optim.batch_size)
    return run_config(config)


def epochs(images: int, batch_size: int) -> int:
    """How often the images are gone through: 50 times, within `_UPDATES`."""
    least, most = _UPDATES
    steps = epoch_steps(images, batch_size)[1]
    return max(-(-least // steps), min(_EPOCHS, max(1, most // steps)))


def workdir_of(options: LearnOptions) -> Path:
    """The workdir, with "~" expanded."""
    return Path(options.workdir).expanduser()
