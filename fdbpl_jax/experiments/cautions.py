"""What a user should know of a run beside its numbers: before training, and after."""

import math
from collections.abc import Iterator, Mapping, Sequence

from fdbpl_jax.config import RunConfig
from fdbpl_jax.data.types import first_few
from fdbpl_jax.evaluation.accuracy import standard_error
from fdbpl_jax.experiments.cells import Cell, batches_of
from fdbpl_jax.experiments.settings import config_key
from fdbpl_jax.experiments.shared_inputs import SharedInputs
from fdbpl_jax.reports.facts import TestedPart
from fdbpl_jax.reports.results import AVERAGE, CellResult, Row

_FEW_UPDATES = 100
_FEW_IMAGES = 100  # of a half of the classes


def before_training(
    config: RunConfig, shared_inputs: Sequence[SharedInputs]
) -> tuple[str, ...]:
    """Doubts about teacher, number of updates, test images and seeds.

    A doubt that several data sets share is one line.
    """
    datasets: dict[str, list[str]] = {}
    for shared in shared_inputs:
        for doubt in (
            *worse_teacher(shared),
            *_few_updates(config, shared.cells),
            *_few_images(tested_parts(shared)),
            *_shared_images(shared.cells),
        ):
            datasets.setdefault(doubt, []).append(shared.dataset.name)
    return tuple(f"{', '.join(names)}: {doubt}" for doubt, names in datasets.items())


def after_training(
    rows: Sequence[Row], cells: Sequence[CellResult], parts: Sequence[TestedPart]
) -> tuple[str, ...]:
    """Which methods changed nothing, and which are worse than zero-shot."""
    images: dict[str, int] = {}
    for part in parts:
        images[part.dataset] = min(part.images, images.get(part.dataset, part.images))
    return (*_unchanged(cells), *_below_zero_shot(rows, images))


def training_text(shared: SharedInputs) -> str:
    """How well teacher and student know the training images; "" without a teacher."""
    known = shared.training
    if known is None:
        return ""
    return (
        f"{shared.dataset.name}: on the {known.images} labelled training images "
        f"({known.classes} classes) hand-written text is right for {known.teacher:.1f} "
        f"% with the teacher and {known.student:.1f} % with the student"
    )


def updates_text(config: RunConfig, cells: Sequence[Cell]) -> str:
    """The updates of a training of each method: epochs × batches."""
    return ", ".join(map(_update_text, _updates(config, cells)))


def tested_parts(shared: SharedInputs) -> tuple[TestedPart, ...]:
    """The test images of a data set and of its targets, by the classes they are of."""
    parts = []
    for test in shared.test_sets:
        names = ("base", "new") if test.new else ("all", "")
        for name, held in zip(names, (test.base, test.new), strict=True):
            if held:
                classes = held.dataset.class_names
                parts.append(TestedPart(test.name, name, len(held.labels), classes))
    return tuple(parts)


def worse_teacher(shared: SharedInputs) -> Iterator[str]:
    """That the teacher knows the training images less well than the student, if so."""
    known = shared.training
    if known and known.teacher < known.student:
        yield (
            f"the teacher knows the training images less well ({known.teacher:.1f} %) "
            f"than the student ({known.student:.1f} %): what it teaches can make the "
            "student worse. Take another teacher, or a method without one"
        )


def _update_text(update: tuple[str, int, str]) -> str:
    name, updates, how = update
    return f"{name} {updates} ({how})"


def _updates(
    config: RunConfig, cells: Sequence[Cell]
) -> Iterator[tuple[str, int, str]]:
    """Name, updates and how they come about, of each method and number of shots."""
    done = set()
    for cell in cells:
        batch, steps = batches_of(config, cell)
        optim, name = cell.setting.optim, cell.method.name
        cut = f" cut to {batch}" if batch < optim.batch_size else ""
        how = f"{optim.epochs} epochs × {steps}, batches of {optim.batch_size}{cut}"
        if (name, how) not in done:
            done.add((name, how))
            yield name, optim.epochs * steps, how


def _few_updates(config: RunConfig, cells: Sequence[Cell]) -> Iterator[str]:
    few = [line for line in _updates(config, cells) if line[1] < _FEW_UPDATES]
    if few:
        key = config_key(few[0][0])
        yield (
            f"fewer than {_FEW_UPDATES} updates, after which prompts may hardly have "
            f"left their start: {', '.join(map(_update_text, few))}. Raise "
            f"--config.optim_for.{key}.epochs or lower its batch_size"
        )


def _few_images(parts: Sequence[TestedPart]) -> Iterator[str]:
    for part in parts:
        if part.images < _FEW_IMAGES:
            yield (
                f"only {part.images} test images of {part.dataset} ({part.part} "
                f"classes): one of them is {part.points:.1f} points"
            )


def _shared_images(cells: Sequence[Cell]) -> Iterator[str]:
    draws: dict[str, list[frozenset[str]]] = {}
    for cell in cells:
        draw = frozenset(example.path for example in cell.dataset.train)
        draws.setdefault(cell.name, []).append(draw)
    same = [name for name, sets in draws.items() if len(sets) > len(set(sets)) == 1]
    if same:
        yield (
            f"all seeds train on the same images ({', '.join(same)}): spread and "
            "standard error leave out the draw of images"
        )


def _unchanged(cells: Sequence[CellResult]) -> Iterator[str]:
    changed: dict[tuple[str, str], list[int | None]] = {}
    for cell in cells:
        if cell.seed is not None:
            changed.setdefault((cell.dataset, cell.method), []).append(cell.changed)
    for dataset in dict.fromkeys(dataset for dataset, _ in changed):
        same = [
            method
            for (name, method), counts in changed.items()
            if name == dataset and set(counts) == {0}
        ]
        if same:
            yield (
                f"{dataset}: predictions equal zero-shot's on every test image in all "
                f"cells of {first_few(same)}. Train longer or at a higher rate"
            )


def _below_zero_shot(rows: Sequence[Row], images: Mapping[str, int]) -> Iterator[str]:
    for zero in rows:
        if zero.method != "zero-shot" or zero.dataset == AVERAGE:
            continue
        worse = [
            f"{row.method} {_score(row, row.hm is not None):.1f} against "
            f"{_score(zero, row.hm is not None):.1f}"
            for row in rows
            if row.dataset == zero.dataset
            and row.trained_values
            and _is_below(row, zero, images[row.dataset])
        ]
        if worse:
            yield (
                f"{zero.dataset}: below zero-shot by more than the standard error: "
                f"{', '.join(worse)}"
            )


def _is_below(row: Row, zero: Row, images: int) -> bool:
    halves = row.hm is not None
    mean, spread = _score(row, halves), row.hm_std if halves else row.base_std
    if spread is not None:
        error = spread / math.sqrt(row.seeds)
    else:  # one seed: that of a share of so many images
        error = standard_error(mean, images)
    return mean + error < _score(zero, halves)


def _score(row: Row, halves: bool) -> float:
    """HM where there is one, else the accuracy of the classes trained on."""
    score = row.hm if halves else row.base_mean
    assert score is not None  # of a row with a finished cell
    return score
