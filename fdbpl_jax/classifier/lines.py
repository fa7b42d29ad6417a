"""Predictions as lines of text: a table, CSV or JSON."""

import json
from collections.abc import Callable, Iterator

from tabulate import tabulate

from fdbpl_jax.classifier.classifier import Prediction
from fdbpl_jax.cli import show
from fdbpl_jax.files import csv_text

Lines = Iterator[tuple[str, Prediction]]  # of images, by their paths


def _table(lines: Lines, below: float | None) -> None:
    rows = []
    for path, said in lines:
        named = zip(said.labels, said.probabilities, strict=True)
        texts = [f"{label} {100 * share:.1f} %" for label, share in named]
        rejection = [] if said.rejection is None else [f"{said.rejection:.2f}"]
        rows.append([path, *rejection, *(["no"] if _is_no(said, below) else texts)])
    if rows:
        show(tabulate(rows, tablefmt="plain", disable_numparse=True))


def _csv(lines: Lines, below: float | None) -> None:
    titles = ["image", "rank", "label", "probability", "rejection"]
    asked = below is not None
    show(csv_text([titles + ["rejected"] * asked])[:-1])
    for path, said in lines:
        named = zip(said.labels, said.probabilities, strict=True)
        last = [said.rejection] + [int(_is_no(said, below))] * asked
        rows = [[path, n, *pair, *last] for n, pair in enumerate(named, 1)]
        show(csv_text(rows)[:-1])


def _jsonl(lines: Lines, below: float | None) -> None:
    for path, said in lines:
        values = {"image": path, **said._asdict()}
        if below is not None:
            values["rejected"] = _is_no(said, below)
        show(json.dumps(values, ensure_ascii=False))


def _is_no(said: Prediction, below: float | None) -> bool:
    return below is not None and said.rejection is not None and said.rejection < below


WRITERS: dict[str, Callable[[Lines, float | None], None]] = {
    "table": _table,
    "csv": _csv,
    "jsonl": _jsonl,
}
