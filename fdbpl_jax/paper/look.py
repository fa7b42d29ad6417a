"""Pictures of finished cells: `python -m fdbpl_jax.paper.look attention|cases`.

attention --cell=runs/base2new/shapes-negative/coop+fdbpl/seed1
cases --cell=WITH --other=WITHOUT

`attention` shows where the prompts look (the paper's figure 11), `cases` the test
images that one cell puts right and the other does not (figure 12). Each writes a PNG,
and what is in it as a CSV file beside it.
"""

import io
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags, logging
from PIL import Image

from fdbpl_jax.cli import command_of, run_app
from fdbpl_jax.errors import UserError, unknown_name
from fdbpl_jax.files import csv_text, png_file, write_bytes
from fdbpl_jax.paper.attention import attention
from fdbpl_jax.paper.cases import RIGHT, Case, cases_picture, changed_cases
from fdbpl_jax.paper.cell import open_cell

_CELL = flags.DEFINE_string("cell", None, "Folder of a finished cell.")
_OTHER = flags.DEFINE_string("other", "", "cases: folder of the one it is compared to.")
_STUDENT = flags.DEFINE_string("student", "", "Where the student is now, if it moved.")
_DATA_ROOT = flags.DEFINE_string(
    "data_root", "", "The folder that holds the data; of embedded data, runs/shapes."
)
_PICTURE = flags.DEFINE_string("picture", "", "File; default: in the cell.")
_IMAGES = flags.DEFINE_integer(
    "images", 6, "How many, of different classes; cases: of each kind.", 1
)
_FEATURES = flags.DEFINE_string(
    "features", "", "cases: folder of kept image features; default: in the cell."
)


def _attention() -> None:
    cell = open_cell(Path(_CELL.value), _STUDENT.value, _DATA_ROOT.value)
    found = attention(cell, _IMAGES.value)
    _write("attention", found.picture, [("image", "class"), *found.shown])


def _cases() -> None:
    if not _OTHER.value:
        raise UserError("no cell to compare with is named", "Give --other=FOLDER.")
    cell, other = (
        open_cell(Path(path), _STUDENT.value, _DATA_ROOT.value)
        for path in (_CELL.value, _OTHER.value)
    )
    cases = changed_cases(cell, other, Path(_FEATURES.value or cell.path / "features"))
    right = sum(case.what == RIGHT for case in cases)
    logging.info("%d put right, %d put wrong", right, len(cases) - right)
    picture = cases_picture(cell, cases, _IMAGES.value)
    _write("cases", picture, [Case._fields, *cases])


def _write(name: str, picture: Image.Image, lines: Sequence[Sequence]) -> None:
    file = png_file(_PICTURE.value or Path(_CELL.value) / f"{name}.png")
    png = io.BytesIO()
    picture.save(png, format="png")
    # A file name need not be Unicode.
    write_bytes(file.with_suffix(".csv"), csv_text(lines).encode(errors="replace"))
    write_bytes(file, png.getvalue())
    logging.info("%s", file)


def main() -> None:
    """Runs the command that `sys.argv` names."""
    name = command_of(sys.argv)
    commands = {"attention": _attention, "cases": _cases}

    def command() -> None:
        if name not in commands:
            raise unknown_name("command", name, commands)
        commands[name]()

    run_app(command, required=("cell",))


if __name__ == "__main__":
    main()
