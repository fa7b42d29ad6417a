"""One of the paper's tables as a sheet: our lines, and the printed numbers by them."""

from collections.abc import Sequence

from fdbpl_jax.paper.finished import ACCURACIES
from fdbpl_jax.paper.published import Published, select
from fdbpl_jax.paper.sheet import Sheet, Texts
from fdbpl_jax.paper.tables import TITLES, WHAT, Line, PaperTable
from fdbpl_jax.reports.columns import (
    BLANK,
    accuracy_text,
    has_new,
    missing,
    seconds_text,
)
from fdbpl_jax.reports.results import Row

_NAMES = {"base": "base", "new": "new", "hm": "HM", "accuracy": "accuracy"}
_OWN = (*ACCURACIES, "seeds")


def table_sheet(table: PaperTable, published: Published) -> Sheet:
    """Our table, with columns of printed numbers if there are any for it.

    Args:
      table: of `collect`.
      published: the printed numbers.
    """
    rows = [line.row for line in table.lines]
    shown = WHAT[:3] if has_new(rows) else WHAT[3:]
    known = [w for w in WHAT if any(w in line.published for line in table.lines)]
    varies = any(line.varied for line in table.lines)
    titles = ["data set", "method", *(["varied"] if varies else [])]
    titles += [_NAMES[what] for what in shown] + ["training (s)"]
    titles += [f"printed {_NAMES[what]}" for what in known]
    return Sheet(
        name=table.name,
        title=TITLES[table.name],
        about="",
        titles=tuple(titles),
        lines=[_texts(line, varies, shown, known) for line in table.lines],
        words=words_of(titles),
        records=_records(table.lines),
        facts=table.facts,
        lost=(*missing(rows), *(lost for one in table.facts for lost in one.failures)),
        printed=printed(table.name, published),
    )


def words_of(titles: Sequence[str]) -> int:
    """How many leading columns of a table hold words."""
    return 3 if "varied" in titles else 2


def _texts(
    line: Line, varies: bool, shown: Sequence[str], known: Sequence[str]
) -> tuple[str, ...]:
    own = [_accuracy(line.row, what) for what in shown]
    beside = [
        f"{line.published[what]:.2f}" if what in line.published else BLANK
        for what in known
    ]
    varied = [line.varied] if varies else []
    seconds = seconds_text(line.row.train_seconds)
    return (line.row.dataset, line.method, *varied, *own, seconds, *beside)


def _accuracy(row: Row, what: str) -> str:
    if what == "hm":
        return accuracy_text(row.hm, row.hm_std)
    name = "new" if what == "new" else "base"
    return accuracy_text(getattr(row, f"{name}_mean"), getattr(row, f"{name}_std"))


def _records(lines: Sequence[Line]) -> list[list[object]]:
    beside = [f"printed_{what}" for what in WHAT]
    found: list[list[object]] = [
        ["dataset", "method", "varied", *_OWN, "train_seconds", *beside]
    ]
    for line in lines:
        values = [getattr(line.row, name) for name in (*_OWN, "train_seconds")]
        known = [line.published.get(what) for what in WHAT]
        found.append([line.row.dataset, line.method, line.varied, *values, *known])
    return found


def printed(name: str, published: Published) -> tuple[list[str], Texts]:
    """Titles and lines of the paper's own table."""
    numbers = select(published, table=name)
    known = [what for what in WHAT if any(n.what == what for n in numbers)]
    found: dict[tuple[str, ...], dict[str, float]] = {}
    for number in numbers:
        varied = (number.shots, number.label, number.teacher, number.terms)
        words = " ".join(str(value) for value in varied if value is not None)
        key = (number.dataset, number.printed or number.method, words)
        found.setdefault(key, {})[number.what] = number.value
    # What is varied has a column if anything is.
    words = 3 if any(key[2] for key in found) else 2
    lines = [
        (*key[:words], *(f"{own[w]:.2f}" if w in own else BLANK for w in known))
        for key, own in found.items()
    ]
    titles = ["data set", "method", "varied"][:words]
    return [*titles, *(_NAMES[what] for what in known)], lines
