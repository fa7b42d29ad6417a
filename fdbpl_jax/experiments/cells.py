"""The cells of a run: data set × method × seed, and × setting in a sweep."""

import functools
from pathlib import Path
from typing import NamedTuple

from fdbpl_jax import device
from fdbpl_jax.clip.model import cast, load_clip
from fdbpl_jax.config import PromptConfig, RunConfig
from fdbpl_jax.data.class_names import read_names
from fdbpl_jax.data.images import content_hash
from fdbpl_jax.data.pipeline import epoch_steps
from fdbpl_jax.data.types import Dataset
from fdbpl_jax.experiments.protocols import PROTOCOLS
from fdbpl_jax.experiments.sweep import Setting, settings_of
from fdbpl_jax.experiments.training_sets import Selection, training_set
from fdbpl_jax.learners.learner import Models
from fdbpl_jax.methods.table import METHODS, Images, Method, Names
from fdbpl_jax.shapes import embedded

_RESULT = "results.jsonl"  # a line per data set that the prompts were tested on


class NamesFile(NamedTuple):
    """The list of names that class-agnostic methods train on."""

    names: tuple[str, ...]
    sha256: str


class RunInputs(NamedTuple):
    """What all data sets of a run share."""

    models: Models
    names: NamesFile | None  # None: no method trains on a list of names


class Cell(NamedTuple):
    """One training: what of, with what, and where its results go."""

    method: Method
    prompt: PromptConfig
    setting: Setting  # of a sweep, or the only one
    seed: int  # of shots, initialisation and order
    dataset: Dataset  # the classes and images that it is trained on
    names: tuple[str, ...]  # of the classes that training distinguishes
    directory: Path

    @property
    def name(self) -> str:
        """The method as reports call it."""
        return f"{self.method.name} {self.setting.name}".strip()

    @property
    def result_file(self) -> Path:
        """Where the results are; written last."""
        return self.directory / _RESULT

    @property
    def is_finished(self) -> bool:
        """Whether the cell need not be run again."""
        return self.result_file.exists()


def batches_of(config: RunConfig, cell: Cell) -> tuple[int, int]:
    """Size of the cell's batches, and how many an epoch has: one is one update."""
    views = config.ril.regions_per_epoch if cell.method.reads_table else 1
    examples = len(cell.dataset.train) * views
    return epoch_steps(examples, cell.setting.optim.batch_size)


def load_inputs(config: RunConfig) -> RunInputs:
    """Models, in the dtype that they run in, and the list of names.

    Raises:
      UserError: one cannot be read.
    """
    dtype = device.tower_dtype(config.dtype)
    sources = {"student": config.student, "teacher": config.teacher}
    student, teacher = (
        cast(load_clip(source or str(embedded(name))), dtype)
        for name, source in sources.items()
    )
    names = None
    if any(METHODS[name].names is Names.LIST for name in config.methods):
        file = Path(config.names.file)
        names = NamesFile(read_names(file), content_hash(Path(), str(file)))
    return RunInputs(Models(student, teacher), names)


def plan_cells(
    config: RunConfig, dataset: Dataset, inputs: RunInputs, workdir: Path
) -> tuple[Cell, ...]:
    """All cells of a data set, in the order of the report, with their training images.

    `dataset` has all classes and images; the workdir is of cells and features.
    """
    folder = workdir / config.folder / dataset.name

    @functools.cache
    def select(selection: Selection) -> Dataset:
        return training_set(dataset, selection, inputs.models.student, workdir)

    cells = []
    for name in config.methods:
        method = METHODS[name]
        listed = inputs.names if method.names is Names.LIST else None
        for setting in settings_of(config, name):
            for seed in config.seeds:
                part = select(_selection(config, method, setting, seed))
                subfolder = ",".join([name, *setting.name.split()])
                cells.append(
                    Cell(
                        method=method,
                        prompt=config.prompt_of(name),
                        setting=setting,
                        seed=seed,
                        dataset=part,
                        names=listed.names if listed else part.class_names,
                        directory=folder / subfolder / f"seed{seed}",
                    )
                )
    return tuple(cells)


def _selection(
    config: RunConfig, method: Method, setting: Setting, seed: int
) -> Selection:
    trained_on = PROTOCOLS[config.protocol].classes[0]
    classes = "all" if method.names is Names.ALL else trained_on
    drawn = method.images is Images.LABELLED
    # Without a draw seeds share their images: one selection.
    return Selection(method.images, classes, setting.shots, seed if drawn else 0)
