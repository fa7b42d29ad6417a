"""Commands parsed by their own flags and configs, in one process; a script.

Standard input: a line of JSON for each, [words after `fdbpl`/`python -m`, whether all
that it needs must be given]. Prints for each a line of JSON: the error, or null.
"""

import contextlib
import functools
import importlib
import io
import itertools
import json
import sys

from absl import app, flags

from fdbpl_jax import cli
from fdbpl_jax.data.catalogue import CATALOGUE
from fdbpl_jax.data.datasets import OWN
from fdbpl_jax.errors import OUTSIDE, UserError
from fdbpl_jax.shapes.world import TASKS

# Of commands whose words or settings are checked after their flags: where work begins.
STOPS = {
    "fdbpl_jax.main": ("fdbpl_jax.device.require",),
    "fdbpl_jax.ril.__main__": tuple(
        f"fdbpl_jax.ril.__main__.{name}"
        for name in ("open_by_flag", "verify_table", "describe", "open_table")
    ),
    "fdbpl_jax.data.__main__": ("fdbpl_jax.data.__main__.check_dataset",),
    "fdbpl_jax.learning.__main__": (
        *(
            "fdbpl_jax.learning.__main__.learn",
            "fdbpl_jax.learning.__main__.read_names",
        ),
    ),
    "fdbpl_jax.paper.__main__": (
        *("fdbpl_jax.paper.runs.start", "fdbpl_jax.paper.runs.draw"),
        *("fdbpl_jax.paper.__main__.write_paper", "fdbpl_jax.paper.__main__.open_cell"),
    ),
}


class Work(Exception):
    """Raised in place of the work."""


def stop(*arguments, **settings):
    raise Work


def run_app(module, strict, main, required=(), words=None, **_):
    """In place of `cli.run_app`: parse, and run a command up to its work."""
    rest = cli._parse(sys.argv, required if strict else ())
    if words is None and len(rest) > 1:
        raise UserError(f"argument '{rest[1]}' is not a flag")
    if words is not None:
        words.extend(rest[1:])
    if "config" in flags.FLAGS and flags.FLAGS.config is not None:
        check_datasets(flags.FLAGS.config.data)
    if strict and module in STOPS:
        main()


def check_datasets(data) -> None:
    """Refuse names of data sets that the program does not know by themselves."""
    for name in filter(None, f"{data.datasets},{data.targets}".split(",")):
        if name not in (*TASKS, *CATALOGUE, *OWN):
            raise UserError(f"no data set '{name}'")


def called(name: str, words: list[str], strict: bool) -> str | None:
    module = importlib.import_module(name)
    if not hasattr(module, "run_app"):  # tools, which have no flags of ours
        return None
    for path in STOPS.get(name, ()):
        place, _, function = path.rpartition(".")
        setattr(importlib.import_module(place), function, stop)
    module.run_app = functools.partial(run_app, name, strict)
    sys.argv[:] = [name, *words]
    for flag in list(flags.FLAGS):
        flags.FLAGS[flag].unparse()
        if flag.startswith("config."):  # defined by the call before
            delattr(flags.FLAGS, flag)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        try:
            module.main()
        except Work:
            return None
        except SystemExit as end:
            return None if not end.code else f"status {end.code}: {out.getvalue()}"
        except (flags.Error, *OUTSIDE) as error:
            return str(error)
    return None


def module_of(words: list[str]) -> str:
    """The module that a command runs."""
    if words[0] == "-m":
        spec = importlib.util.find_spec(words[1])
        if spec is None:
            raise UserError(f"no module '{words[1]}'")
        is_package = spec.submodule_search_locations is not None
        return f"{words[1]}.__main__" if is_package else words[1]
    if words[0] not in cli.COMMANDS:
        raise UserError(f"no command '{words[0]}'")
    name = f"fdbpl_jax.{cli.COMMANDS[words[0]][0]}"
    return module_of(["-m", name])


def error_of(words: list[str], strict: bool) -> str | None:
    if words[0] == "--help":
        return None
    try:
        name = module_of(words)
    except (UserError, ModuleNotFoundError) as error:
        return str(error)
    rest = words[2:] if words[0] == "-m" else words[1:]
    return called(name, rest, strict)


def main() -> None:
    app.define_help_flags()
    calls = list(enumerate(json.loads(line) for line in sys.stdin))
    errors = {}

    def module(call) -> str:
        with contextlib.suppress(UserError, ModuleNotFoundError):
            return module_of(call[1][0])
        return ""

    # Modules one after the other: several define a flag of the same name.
    calls.sort(key=module)
    for name, group in itertools.groupby(calls, module):
        for n, (words, strict) in group:
            errors[n] = error_of(words, strict)
        for flag in flags.FLAGS.get_flags_for_module(name) if name else ():
            delattr(flags.FLAGS, flag.name)
    for n in sorted(errors):
        print(json.dumps(errors[n]))


if __name__ == "__main__":
    main()
