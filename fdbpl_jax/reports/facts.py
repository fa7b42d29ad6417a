"""How a run was made: what a reader of its report needs to judge it."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

from fdbpl_jax.reports.numbers import BLANK, seconds_text


class TableFacts(NamedTuple):
    """What a run's RIL table is and took.

    regions: that it holds. keep: K. built: by this run, not found. seconds: that this
    run spent on building it. disk_bytes: of its arrays; 0: not on a local disk.
    read_seconds: of 500 random regions, see `ril.measure.read_seconds`.
    """

    regions: int
    keep: int
    built: bool
    seconds: float
    disk_bytes: int
    read_seconds: float


@dataclasses.dataclass(frozen=True)
class RunFacts:
    """What a reader needs to judge the table and to make it again."""

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
    rejection: tuple[tuple[str, ...], ...] = ()  # what stands under REJECTION_COLUMNS


TABLE_COLUMNS = (
    "dataset",
    "regions",
    "kept labels",
    "on disk (MB)",
    "500 random regions (ms)",
    "seconds",
    "regions a second",
    "this run",
)


def table_texts(facts: RunFacts) -> list[tuple[str, ...]]:
    """What stands under `TABLE_COLUMNS`, a line a RIL table."""
    return [
        (
            dataset,
            f"{one.regions}",
            f"{one.keep}",
            f"{one.disk_bytes / 1e6:.1f}" if one.disk_bytes else BLANK,
            f"{1e3 * one.read_seconds:.1f}",
            seconds_text(one.seconds) if one.seconds > 0 else BLANK,
            f"{one.regions / one.seconds:.0f}" if one.seconds > 0 else BLANK,
            "built it" if one.built else "used it as it was",
        )
        for dataset, one in facts.tables.items()
    ]


def fact_texts(facts: RunFacts) -> list[tuple[str, str]]:
    """Name and value of each fact but the command, settings and notes."""
    versions = ", ".join(f"{name} {number}" for name, number in facts.versions.items())
    pairs = [
        ("started", facts.started),
        ("device", facts.device),
        ("student", facts.student),
        ("teacher", facts.teacher),
        ("versions", versions),
    ]
    return [(name, value) for name, value in pairs if value]
