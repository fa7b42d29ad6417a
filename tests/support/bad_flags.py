"""A command called with bad values of all its flags, in one process; a script.

`bad_flags.py MODULE STOP[,STOP] [WORD …]`: the functions STOP of modules are where work
begins. Prints a line of JSON for each call: the flag, the value, the exit status (or
"work", where it came so far) and what was on stderr.
"""

import contextlib
import importlib
import io
import json
import sys
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict

CONFIG = Path(__file__).parents[2] / "configs" / "base2new.py"
NOT_NUMBERS = (
    *("10**30", "1" + "0" * 30, "-1" + "0" * 30, "1e400", "inf", "-inf", "nan"),
    *(
        "many",
        "[1,many]",
        "(1,(2,))",
        "9" * 400,
        "(" * 300,
        "\x1b[1m",
        "a\nb",
        "\udce9",
    ),
)
TEXTS = ("", "nan", "[1,2]", "/dev/null/x", "x" * 5000, "\x1b[1m", "a\nb", "\udce9")


class Work(BaseException):
    """Raised in place of the work."""


def stop(*arguments, **settings):
    raise Work


def leaves(config: ConfigDict, where: str = "config."):
    """Names of settings and whether each is a number, or several."""
    for name in config:
        value = config.get_oneway_ref(name).get()
        if isinstance(value, ConfigDict):
            yield from leaves(value, f"{where}{name}.")
        else:
            kind = config.get_type(name)
            yield where + name, kind in (int, float, tuple)


def flags_of(module) -> list[tuple[str, bool]]:
    """The flags that a module defines, and whether each is a number."""
    numbers = "a number", "values with commas"
    defined = []
    for flag in flags.FLAGS.get_key_flags_for_module(module):
        if flag.name == "config":
            flag.parse(str(CONFIG))
            defined += leaves(flag.value)
        else:
            help_text = flag.parser.syntactic_help
            defined.append((flag.name, help_text in numbers or flag.name == "shard"))
    return defined


def call(module, words) -> tuple[int | str, str]:
    sys.argv[:] = ["command", *words]
    errors = io.StringIO()
    for name in list(flags.FLAGS):
        flags.FLAGS[name].unparse()
        if name.startswith("config."):  # defined by the call before
            delattr(flags.FLAGS, name)
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        try:
            module.main()
            status: int | str = 0
        except SystemExit as end:
            status = end.code or 0
        except Work:
            status = "work"
    return status, errors.getvalue()


def main() -> None:
    name, stops, *words = sys.argv[1:]
    module = importlib.import_module(name)
    for place in stops.split(","):
        where, _, function = place.rpartition(".")
        setattr(importlib.import_module(where), function, stop)
    for flag, is_number in flags_of(module):
        if flag.startswith(("config.tuned", "config.optim_for", "config.prompt_for")):
            continue  # of every method, and as those of all
        for value in NOT_NUMBERS if is_number else TEXTS:
            status, errors = call(module, [*words, f"--{flag}={value}"])
            print(json.dumps([flag, is_number, value, status, errors]), flush=True)


if __name__ == "__main__":
    main()
