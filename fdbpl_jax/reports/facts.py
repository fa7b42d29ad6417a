"""How a run was made: what a reader of its report needs to judge it."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

from fdbpl_jax.reports.columns import BLANK, seconds_text


class TableFacts(NamedTuple):
    """Size and cost of a run's RIL table."""

    regions: int
    keep: int  # K
    built: bool  # by this run; else an earlier one left it
    seconds: float  # that this run spent on building it
    disk_bytes: int  # of its arrays; 0: not on a local disk
    read_seconds: float  # of 500 random regions, see `ril.measure.read_seconds`


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
    rejection: tuple[tuple[str, ...], ...] = ()  # lines under REJECTION_TITLES


TABLE_TITLES = (
    *("dataset", "regions", "kept labels", "on disk (MB)", "500 random regions (ms)"),
    *("seconds", "regions per second", "this run"),
)


def table_texts(facts: RunFacts) -> list[tuple[str, ...]]:
    """Lines under `TABLE_TITLES`, one per RIL table."""
    return [
        (
            dataset,
            f"{table.regions}",
            f"{table.keep}",
            f"{table.disk_bytes / 1e6:.1f}" if table.disk_bytes else BLANK,
            f"{1e3 * table.read_seconds:.1f}",
            seconds_text(table.seconds) if table.seconds > 0 else BLANK,
            f"{table.regions / table.seconds:.0f}" if table.seconds > 0 else BLANK,
            "built it" if table.built else "used it unchanged",
        )
        for dataset, table in facts.tables.items()
    ]


def fact_texts(facts: RunFacts) -> list[tuple[str, str]]:
    """Name and value of each fact but the command, settings and notes."""
    versions = ", ".join(f"{name} {number}" for name, number in facts.versions.items())
    names = ("started", "device", "student", "teacher")
    texts = [*((name, getattr(facts, name)) for name in names), ("versions", versions)]
    return [(name, text) for name, text in texts if text]
