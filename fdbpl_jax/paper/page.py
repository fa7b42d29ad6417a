"""The paper's tables as one HTML page, as Markdown, and as CSV."""

import base64
import csv
import io
from collections.abc import Sequence
from html import escape

from fdbpl_jax.html_page import html_table, whole_page
from fdbpl_jax.paper.tables import TITLES, WHAT, Line, PaperTable
from fdbpl_jax.published import Note, Published, select
from fdbpl_jax.report_numbers import BLANK, accuracy_text, seconds_text
from fdbpl_jax.report_text import (
    RunFacts,
    has_new,
    markdown_table,
    missing,
)
from fdbpl_jax.results import Row

_NAMES = {"base": "base", "new": "new", "hm": "HM", "accuracy": "accuracy"}


def html(
    tables: Sequence[PaperTable], published: Published, attention: bytes = b""
) -> str:
    """The page: a section a table, ours first, then what the paper prints.

    Args:
      tables: of `collect`.
      published: the printed numbers.
      attention: a PNG of figure 11, if there is one.
    """
    sections = [
        "<h1>The paper's tables</h1>",
        f'<p class="soft">{escape(_about(published))}</p>',
    ]
    for table in tables:
        titles, lines = ours(table)
        sections.append(f"<h2>{escape(TITLES[table.name])}</h2>")
        sections.append(f"<p>{escape(made_with(table.facts))}</p>")
        lost = missing([line.row for line in table.lines])
        lost += [failure for facts in table.facts for failure in facts.failures]
        if lost:
            items = "".join(f"<li>{escape(text)}</li>" for text in lost)
            sections.append(f'<div class="warn"><b>Missing cells</b>{items}</div>')
        sections.append(html_table(titles, lines, _words(titles)))
        sections.append(
            f"<details><summary>What the paper prints</summary>"
            f"{html_table(*printed(table.name, published), words=3)}</details>"
        )
        commands = "\n".join(facts.command for facts in table.facts)
        sections.append(
            f"<details><summary>How ours was made</summary>"
            f"<pre>{escape(commands)}</pre></details>"
        )
    if attention:
        sections.append(_attention(attention))
    notes = "".join(f"<li>{escape(_note(note))}</li>" for note in published.notes)
    sections.append(f"<h2>About the printed numbers</h2><ul>{notes}</ul>")
    return whole_page("The paper's tables", "\n".join(sections))


def _note(note: Note) -> str:
    """What to know, after the places that it is about."""
    places = "; ".join(" ".join(row) for row in note.rows)
    return f"{places}: {note.text}" if places else note.text


def _attention(png: bytes) -> str:
    source = base64.b64encode(png).decode()
    about = (
        "Grad-CAM of an image's own class on the student's image tower: for 'a photo "
        "of a …', the positive prompt, the negative prompt, and the direction from the "
        "negative to the positive one. Each map has its own scale."
    )
    return (
        f'<h2>Figure 11: where prompts look</h2><p class="soft">{escape(about)}</p>'
        f'<img alt="Test images with attention maps" '
        f'src="data:image/png;base64,{source}">'
    )


def markdown(tables: Sequence[PaperTable]) -> str:
    """Our tables, with the printed numbers where there are any."""
    parts = []
    for table in tables:
        titles, lines = ours(table)
        parts += [f"## {TITLES[table.name]}", made_with(table.facts)]
        parts.append(markdown_table(titles, lines, left=_words(titles)))
    return "\n\n".join(parts) + "\n"


def csv_text(table: PaperTable) -> str:
    """Every line in full precision; an empty field where there is no value."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    own = ("base_mean", "base_std", "new_mean", "new_std", "hm", "hm_std", "seeds")
    printed = [f"printed_{what}" for what in WHAT]
    writer.writerow(["dataset", "method", "varied", *own, "train_seconds", *printed])
    for line in table.lines:
        values = [getattr(line.row, name) for name in (*own, "train_seconds")]
        known = [line.published.get(what) for what in WHAT]
        writer.writerow([line.row.dataset, line.method, line.varied, *values, *known])
    return out.getvalue()


def ours(table: PaperTable) -> tuple[list[str], list[tuple[str, ...]]]:
    """Titles and lines of our table; printed numbers have columns if there are any."""
    new = has_new([line.row for line in table.lines])
    shown = WHAT[:3] if new else WHAT[3:]
    known = [w for w in WHAT if any(w in line.published for line in table.lines)]
    varies = any(line.varied for line in table.lines)
    titles = ["data set", "method", *(["varied"] if varies else [])]
    titles += [_NAMES[what] for what in shown] + ["training (s)"]
    titles += [f"printed {_NAMES[what]}" for what in known]
    return titles, [_texts(line, varies, shown, known) for line in table.lines]


def _words(titles: Sequence[str]) -> int:
    """How many leading columns hold words."""
    return 3 if "varied" in titles else 2


def _texts(
    line: Line, varies: bool, shown: Sequence[str], known: Sequence[str]
) -> tuple[str, ...]:
    own = [_accuracy(line.row, what) for what in shown]
    printed = [
        f"{line.published[what]:.2f}" if what in line.published else BLANK
        for what in known
    ]
    varied = [line.varied] if varies else []
    seconds = seconds_text(line.row.train_seconds)
    return (line.row.dataset, line.method, *varied, *own, seconds, *printed)


def _accuracy(row: Row, what: str) -> str:
    if what == "hm":
        return accuracy_text(row.hm, row.hm_std)
    name = "new" if what == "new" else "base"
    return accuracy_text(getattr(row, f"{name}_mean"), getattr(row, f"{name}_std"))


def printed(name: str, published: Published) -> tuple[list[str], list[tuple[str, ...]]]:
    """Titles and lines of the paper's own table."""
    numbers = select(published, table=name)
    known = [what for what in WHAT if any(n.what == what for n in numbers)]
    found: dict[tuple[str, ...], dict[str, float]] = {}
    for number in numbers:
        varied = (number.shots, number.label, number.teacher, number.terms)
        words = " ".join(str(value) for value in varied if value is not None)
        key = (number.dataset, number.printed or number.method, words)
        found.setdefault(key, {})[number.what] = number.value
    lines = [
        (*key, *(f"{own[what]:.2f}" if what in own else BLANK for what in known))
        for key, own in found.items()
    ]
    return ["data set", "method", "varied", *(_NAMES[w] for w in known)], lines


def made_with(facts: Sequence[RunFacts]) -> str:
    """Which models and device ours was made with."""
    pairs = dict.fromkeys(f"student {f.student}, teacher {f.teacher}" for f in facts)
    devices = dict.fromkeys(one.device for one in facts)
    return f"Ours: {'; '.join(pairs)}; on {', '.join(devices)}."


def _about(published: Published) -> str:
    models = published.models
    return (
        "Ours are from the data sets and models that each section names. Printed "
        f"numbers are those of “{published.paper['title']}” ({models['student']} as "
        f"student, {models['teacher']} as teacher). They stand beside ours only for "
        "the same, whole data set, and compare only where the models are the same, too."
    )
