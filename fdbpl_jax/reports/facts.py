"""How a run was made: what a reader of its report needs to judge it."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

from fdbpl_jax.reports.columns import BLANK, TextTable, seconds_text


class TableFacts(NamedTuple):
    """Size and cost of a run's RIL table."""

    regions: int
    keep: int  # K
    built: bool  # by this run; else an earlier one left it
    seconds: float  # that building it took, of all runs and processes; 0: not known
    disk_bytes: int  # of all its files; 0: not on a local disk
    read_seconds: float  # of 500 random regions, see `ril.measure.read_seconds`


class TestedPart(NamedTuple):
    """Images of some classes of a data set, tested by themselves."""

    dataset: str
    part: str  # "base", "new" or "all"
    images: int
    class_names: tuple[str, ...]

    @property
    def points(self) -> float:
        """What one image is of the accuracy, in percentage points."""
        return 100.0 / self.images


TestedPart.__test__ = False  # type: ignore[attr-defined]  # pytest: not a test class


@dataclasses.dataclass(frozen=True)
class RunFacts:
    """What a reader needs to judge a report and to make it again."""

    protocol: str
    command: str
    device: str
    versions: Mapping[str, str]  # package: version
    tables: Mapping[str, TableFacts]  # by data set
    student: str  # name and the first 12 characters of the fingerprint
    teacher: str  # the same; empty where no method has a teacher
    config: tuple[tuple[str, str], ...]  # name and value, in the order shown
    started: str
    notes: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()  # cells that could not be run, and why
    # data set: classes, test images
    sizes: Mapping[str, tuple[int, int]] = dataclasses.field(default_factory=dict)
    rejection: tuple[tuple[str, ...], ...] = ()  # see `columns.rejection_texts`
    tested: tuple[TestedPart, ...] = ()
    load: str = ""  # of the machine; empty: not known
    cautions: tuple[str, ...] = ()  # what makes the numbers doubtful


_TABLE_TITLES = (
    *("dataset", "regions", "kept labels", "on disk (MB)", "500 random regions (ms)"),
    *("seconds", "regions per second", "this run"),
)
_REJECTION_TITLES = ("dataset", "method", "against", "score", "AUROC", "FPR95")
_HOW_TO_REJECT = (
    "How well a score separates whole test images of the classes trained on from "
    "what should be rejected, in percent over seeds: the area under the ROC curve (50 "
    "is chance), and the share that passes where 95 % of the test images do. 'max "
    "probability' and 'entropy' are of the positive prompt, 'negative' is how far the "
    "negative prompt's probabilities are from uniform, 'both' is 'entropy' and "
    "'negative' together. Regions are the tenth of the training images' stored "
    "regions of which the teacher is least sure."
)


def sections(facts: RunFacts) -> list[tuple[str, str, TextTable]]:
    """Title, explanation and table of what there is: RIL tables, rejection."""
    tables = [_table_line(*item) for item in facts.tables.items()]
    ril = TextTable(_TABLE_TITLES, tables, 1)
    rejection = TextTable(_REJECTION_TITLES, facts.rejection, 4)
    parts = [("RIL tables", "", ril), ("Rejection", _HOW_TO_REJECT, rejection)]
    return [part for part in parts if part[2].lines]


def _table_line(dataset: str, table: TableFacts) -> tuple[str, ...]:
    return (
        dataset,
        f"{table.regions}",
        f"{table.keep}",
        f"{table.disk_bytes / 1e6:.1f}" if table.disk_bytes else BLANK,
        f"{1e3 * table.read_seconds:.1f}",
        seconds_text(table.seconds or None),
        f"{table.regions / table.seconds:.0f}" if table.seconds else BLANK,
        "built it" if table.built else "used it unchanged",
    )


def tested_texts(facts: RunFacts) -> list[tuple[str, str]]:
    """Of each tested part: data set, classes and images; and the names of classes."""
    return [
        (
            f"{part.dataset}, {part.part} classes: {part.images} test images of "
            f"{len(part.class_names)} classes, one image is {part.points:.2f} points",
            ", ".join(part.class_names),
        )
        for part in facts.tested
    ]


def fact_texts(facts: RunFacts) -> list[tuple[str, str]]:
    """Name and value of each fact but the command, settings and notes."""
    versions = ", ".join(f"{name} {number}" for name, number in facts.versions.items())
    names = ("started", "device", "load", "student", "teacher")
    texts = [*((name, getattr(facts, name)) for name in names), ("versions", versions)]
    return [(name, text) for name, text in texts if text]
