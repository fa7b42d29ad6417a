"""The paper's tables and figures: `python -m fdbpl_jax.paper run|page`.

run                       all of them on the embedded world
run table2 figure9        these
run table2 --datasets=dtd,eurosat --data_root=DATA --student=… --teacher=…
page                      what was run, as a page, Markdown, CSV and PNG

`run` ends in `page`. What comes after `--` goes to every run: `-- --config.seeds=1,2`.
Files are in `<workdir>/paper`: `paper.html`, `paper.md`, and one `.md`, `.csv` and
`.png` for each table and figure.
"""

import sys
from pathlib import Path

from absl import flags, logging

from fdbpl_jax.cli import command_of, run_app
from fdbpl_jax.errors import UserError, unknown_name
from fdbpl_jax.files import csv_text, write_bytes, write_text
from fdbpl_jax.paper import page, published
from fdbpl_jax.paper.make import make
from fdbpl_jax.paper.runs import Asked
from fdbpl_jax.paper.sheets import sheets_of
from fdbpl_jax.paper.text import markdown

_WORKDIR = flags.DEFINE_string("workdir", "runs", "Of the runs of configs/paper/.")
_DATASETS = flags.DEFINE_string(
    "datasets",
    "",
    "On disk, with commas. Tables 1, 6 and figures 9 to 12 train on the first.",
)
_DATA_ROOT = flags.DEFINE_string("data_root", "", "The folder that holds the data.")
_STUDENT = flags.DEFINE_string("student", "", "Directory or hub id; or the embedded.")
_TEACHER = flags.DEFINE_string("teacher", "", "Directory or hub id; or the embedded.")
_TEACHERS = flags.DEFINE_list(
    "teachers", [], "Of table 5; default: the student and the teacher."
)
_KEEP = flags.DEFINE_integer(
    "keep", None, "K of table 4; default: 20, of the embedded world 5.", 1
)
_KEEPS = flags.DEFINE_list(
    "keeps", [], "K of figure 9, at most the base classes; default: 5,10,15,20,25."
)


def _run(names: list[str], more: list[str]) -> None:
    asked = Asked(
        workdir=Path(_WORKDIR.value),
        datasets=_DATASETS.value,
        data_root=_DATA_ROOT.value,
        student=_STUDENT.value,
        teacher=_TEACHER.value,
        keep=str(_KEEP.value or ""),
        keeps=tuple(_KEEPS.value),
        teachers=tuple(_TEACHERS.value),
        flags=tuple(more),
    )
    failed = make(names, asked)
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
    workdir = Path(_WORKDIR.value)
    printed = published.load()
    sheets = sheets_of(workdir, printed)
    folder = workdir / "paper"
    if not sheets:
        raise UserError(
            f"nothing of the paper was run in '{folder}'",
            "Run `python -m fdbpl_jax.paper run`.",
        )
    for sheet in sheets:
        write_text(folder / f"{sheet.name}.md", markdown([sheet]))
        write_text(folder / f"{sheet.name}.csv", csv_text(sheet.records))
        write_bytes(folder / f"{sheet.name}.png", page.sheet_png(sheet))
    write_text(folder / "paper.md", markdown(sheets))
    write_text(folder / "paper.html", page.html(sheets, printed))
    done = ", ".join(sheet.name for sheet in sheets)
    logging.info("%s: %s", folder / "paper.html", done)


def main() -> None:
    """Runs the command that `sys.argv` names."""
    more = []
    if "--" in sys.argv:
        place = sys.argv.index("--")
        sys.argv[place:], more = [], sys.argv[place + 1 :]
    name, names = command_of(sys.argv), []
    while word := command_of(sys.argv):
        names.append(word)

    def command() -> None:
        if name not in ("run", "page"):
            raise unknown_name("command", name, ("run", "page"))
        if name == "run":
            _run(names, more)
        elif names or more:
            raise UserError("`page` is of all that was run", "Leave the rest out.")
        else:
            _page()

    run_app(command)


if __name__ == "__main__":
    main()
