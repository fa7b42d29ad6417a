import subprocess
import sys

from fdbpl_jax.cli import show
from fdbpl_jax.errors import UserError, printable, unknown_name
from fdbpl_jax.files import csv_text

FORGED = "ant\n12:00:00 forged\x1b[31m\u2028\udce9\u202e"
SHOWN = r"ant\n12:00:00 forged\x1b[31m\u2028\udce9\u202e"


def test_control_characters_are_escaped_and_letters_are_not(capsys):
    assert printable(FORGED) == SHOWN
    for text in ("Pâté 犬 \N{ZERO WIDTH JOINER} ± “…” 🐦", SHOWN, "a\\nb"):
        assert printable(text) == text
    assert str(UserError(f"class '{FORGED}'", "Rename it")) == (
        f"class '{SHOWN}'. Rename it"
    )
    show(f"pets\n  {FORGED}".replace("\n12", ""))
    assert capsys.readouterr().out == f"pets\n  {SHOWN}\n".replace(r"\n12", "")
    assert csv_text([("a\nb", 1, None, "c\x1bd")]) == "a\\nb,1,,c\\x1bd\n"


def test_what_a_command_logs_and_refuses_is_one_line_each():
    program = (
        "from absl import logging\n"
        "from fdbpl_jax.cli import run_app\n"
        "from fdbpl_jax.errors import UserError\n"
        f"NAME = {FORGED!r}\n"
        "def main():\n"
        "    logging.warning('read %s', NAME)\n"
        "    raise UserError(NAME)\n"
        "run_app(main)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 2
    logged, refused = done.stderr.split("\n")[:-1]
    assert logged.endswith(f"read {SHOWN}")
    assert refused == f"error: {SHOWN}."


def test_the_nearest_name_and_all_known_ones_are_named():
    error = unknown_name("method", "cop", ("maple", "coop"))
    assert str(error) == (
        "unknown method 'cop'. Did you mean 'coop'? Known: coop, maple."
    )
    assert "Did you mean" not in str(unknown_name("method", "zzz", ("maple", "coop")))


def test_of_thousands_of_names_the_nearest_is_named_and_some_are_listed():
    names = [f"train/{number:04d}.jpg" for number in range(2000)]
    error = unknown_name("image", "train/1234.png", names)
    assert error.do.startswith("Did you mean 'train/1234.jpg'? Known: train/0000.jpg, ")
    assert error.do.endswith(" train/0049.jpg and 1950 more.")
