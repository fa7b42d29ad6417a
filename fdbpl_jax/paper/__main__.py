"""The paper's tables and figures: `python -m fdbpl_jax.paper run|page|attention|cases`.

run                       all of them on the embedded world
run table2 figure9        these
run table2 --datasets=dtd,eurosat --data_root=DATA --student=… --teacher=…
page                      what was run, as a page, Markdown, CSV and PNG
attention --cell=runs/base2new/shapes-negative/coop+fdbpl/seed1
cases --cell=WITH --other=WITHOUT

`run` ends in `page`. What comes after `--` goes to every run: `-- --config.seeds=1,2`.
Files are in `<workdir>/paper`: `paper.html`, `paper.md`, and one `.md`, `.csv` and
`.png` for each table and figure.

`attention` and `cases` draw finished cells as figures 11 and 12 do: where the prompts
look, and which test images one cell classifies correctly and the other does not. Each
writes a PNG, and what it shows as a CSV file beside it.
"""

import dataclasses
import os
import sys
from pathlib import Path

from absl import flags, logging

from fdbpl_jax.cli import command_of, path_flag, run_app, value_flag
from fdbpl_jax.config import Count
from fdbpl_jax.errors import UserError, unknown_name
from fdbpl_jax.files import csv_text, png_file, write_bytes, write_text
from fdbpl_jax.paper.attention import attention
from fdbpl_jax.paper.cases import cases
from fdbpl_jax.paper.cell import OpenCell, open_cell
from fdbpl_jax.paper.drawing import Drawing
from fdbpl_jax.paper.page import write_paper
from fdbpl_jax.paper.runs import PaperOptions, make

_FLAGS = flags.FLAGS
path_flag("workdir", "runs", "Of the runs of configs/paper/.")
flags.DEFINE_string(
    "datasets",
    "",
    "On disk, with commas. Tables 1, 6 and figures 9 to 12 train on the first.",
)
path_flag("data_root", "", "The folder that holds the data.")
path_flag(
    "student", "", "Directory or hub id; default: the embedded one, or the cell's."
)
path_flag("teacher", "", "Directory or hub id; or the embedded.")
flags.DEFINE_list("teachers", [], "Of table 5; default: the student and the teacher.")
value_flag("keep", None, Count, "K of table 4; default: 20, of the embedded world 5.")
value_flag(
    "keeps",
    (),
    tuple[Count, ...],
    "K of figure 9, at most the base classes; default: 5,10,15,20,25.",
)
path_flag("cell", None, "attention, cases: of a finished cell.")
path_flag("other", "", "cases: folder of the one it is compared to.")
path_flag("picture", "", "File to draw; default: in the cell.")
value_flag(
    "images", 6, Count, "How many to draw, of different classes; cases: of each kind."
)
path_flag("features", "", "cases: folder of kept image features; default: in the cell.")


def _run(names: list[str], more: list[str]) -> None:
    values = {
        field.name: _FLAGS[field.name].value
        for field in dataclasses.fields(PaperOptions)
        if field.name in _FLAGS
    }
    values |= {"workdir": Path(_FLAGS.workdir), "flags": more}
    values["teachers"] = [os.path.expanduser(name) for name in _FLAGS.teachers]
    values["keeps"] = [str(keep) for keep in _FLAGS.keeps]
    failed = make(names, PaperOptions(**values))
    try:
        _page()
    except UserError as error:
        failed.append(f"the page ({error})")
    if failed:
        raise UserError(
            f"not everything could be made: {', '.join(failed)}",
            "What is wrong is said above. Mend it and run the same command again: what "
            "is finished is not run again.",
        )


def _page() -> None:
    workdir = Path(_FLAGS.workdir)
    names = ", ".join(sheet.name for sheet in write_paper(workdir))
    logging.info("%s: %s", workdir / "paper" / "paper.html", names)


def _attention() -> None:
    _write("attention", attention(_opened(_FLAGS.cell), _FLAGS.images))


def _cases() -> None:
    if not _FLAGS.other:
        raise UserError("no cell to compare with is named", "Give --other=FOLDER.")
    cell, other = _opened(_FLAGS.cell), _opened(_FLAGS.other)
    cache = Path(_FLAGS.features or cell.path / "features")
    _write("cases", cases(cell, other, cache, _FLAGS.images))


def _opened(folder: str) -> OpenCell:
    return open_cell(Path(folder), _FLAGS.student, _FLAGS.data_root)


def _write(name: str, drawing: Drawing) -> None:
    file = png_file(_FLAGS.picture or Path(_FLAGS.cell) / f"{name}.png")
    text = csv_text([drawing.titles, *drawing.rows])
    write_text(file.with_suffix(".csv"), text)
    write_bytes(file, drawing.picture)
    logging.info("%s", file)


_COMMANDS = {"page": _page, "attention": _attention, "cases": _cases}


def main() -> None:
    """Run the command that `sys.argv` names."""
    more = []
    if "--" in sys.argv:
        place = sys.argv.index("--")
        sys.argv[place:], more = [], sys.argv[place + 1 :]
    name, names = command_of(sys.argv), []
    while word := command_of(sys.argv):
        names.append(word)

    def command() -> None:
        if name == "run":
            _run(names, more)
        elif name not in _COMMANDS:
            raise unknown_name("command", name, ("run", *_COMMANDS))
        elif names or more:
            words = " ".join(names + more)
            raise UserError(f"`{name}` takes no '{words}'", "Leave it out.")
        else:
            _COMMANDS[name]()

    run_app(command, required=("cell",) if name in ("attention", "cases") else ())


if __name__ == "__main__":
    main()
