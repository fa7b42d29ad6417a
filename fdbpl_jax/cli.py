"""The frame of every command: flags in, one clear message out on bad input."""

import contextlib
import functools
import logging as std_logging
import os
import runpy
import sys
import traceback
import typing
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from absl import app, flags, logging

from fdbpl_jax.errors import OUTSIDE, UserError, one_line, printable, unknown_name
from fdbpl_jax.terminal.signals import end_by_signals

_PACKAGE = str(Path(__file__).parent)
_SIGPIPE = 13

# Of `fdbpl`: the module that it runs, and what that does.
COMMANDS = {
    "run": ("main", "train and test methods by a protocol, and write the report"),
    "learn": ("learning", "a classifier from a folder of images, labelled or not"),
    "predict": ("classifier.predict", "classify images by learned prompts"),
    "evaluate": ("classifier.evaluate", "accuracy of learned prompts on images"),
    "export": ("classifier.export", "learned prompts for other programs"),
    "serve": ("serve", "answer requests for predictions, with a page to try them"),
    "import": ("interop.import_torch", "contexts that CoOp's or KDPL's code trained"),
    "ril": ("ril", "build, verify and show tables of regions"),
    "data": ("data", "check data sets"),
    "paper": ("paper", "the paper's tables and figures"),
    "methods": ("methods", "list the methods with their settings"),
}

flags.disclaim_key_flags()  # `--help` lists what is defined here with its command


def run_app(
    main: Callable[[], None],
    required: Sequence[str] = (),
    words: list[str] | None = None,
    more_help: Callable[[], str] = str,
) -> None:
    """Parse the flags, of which some are `required`, and run `main`.

    `words` gets the arguments that are no flags; None: such a one is refused.
    `more_help` is what --help prints under the flags. An error from outside, or a flag
    that does not exist or does not parse, ends in its message on stderr and exit status
    2; any other exception keeps its traceback.
    """

    def command(argv: list[str]) -> None:
        _log_plainly()
        with _one_message():
            main()
            _flush()

    def parse(argv: list[str]) -> list[str]:
        with _one_message():
            rest = _parse(argv, required, more_help)
            if words is not None:
                words.extend(rest[1:])
            elif len(rest) > 1:
                raise UserError(f"argument '{rest[1]}' is not a flag", "Try --help.")
            return rest

    app.run(command, flags_parser=parse)


@contextlib.contextmanager
def _one_message() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:  # the reader of our output has read enough
        _drop_output()
        sys.exit(128 + _SIGPIPE)
    except (flags.Error, *OUTSIDE) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        try:
            _flush()
        except OSError:
            _drop_output()
        sys.exit(2)


class _Path(flags.ArgumentParser):
    """A path, in which "~" is the home folder: few shells see it after "="."""

    def parse(self, argument: str) -> str:
        """The path without "~"."""
        return os.path.expanduser(argument)


class _Value(flags.ArgumentParser):
    """A value, or several with commas, of one of the types of `config.py`."""

    def __init__(self, kind: Any) -> None:
        self._kind = kind
        self.syntactic_help = "values with commas" if self._is_list else "a number"

    @property
    def _is_list(self) -> bool:
        return typing.get_origin(self._kind) is tuple

    def parse(self, argument: Any) -> Any:
        """The checked value; ValueError says what was expected."""
        if self._is_list and isinstance(argument, str):
            argument = [part for part in argument.split(",") if part]
        try:
            return msgspec.convert(argument, self._kind, strict=False)
        except msgspec.ValidationError as error:
            raise ValueError(str(error).partition(" - at")[0]) from error


def value_flag(name: str, default: Any, kind: Any, description: str) -> Any:
    """Define a flag of a type of `config.py`, so that its bounds hold here, too."""
    # A list as text: absl parses no other default.
    text = ",".join(map(str, default)) if isinstance(default, tuple) else default
    serializer = flags.ArgumentSerializer()
    return flags.DEFINE(_Value(kind), name, text, description, serializer=serializer)


def path_flag(name: str, default: str | None, description: str) -> flags.FlagHolder:
    """Define a flag that is a file, a folder, or a name that stands for one."""
    serializer = flags.ArgumentSerializer()
    return flags.DEFINE(_Path(), name, default, description, serializer=serializer)


def program() -> None:
    """Run `fdbpl COMMAND …`, which is `python -m` of the command's module."""
    name = sys.argv.pop(1) if len(sys.argv) > 1 else "--help"
    if name in ("--help", "-h", "help"):
        width = max(map(len, COMMANDS))
        lines = [f"  {name:{width}}  {what}" for name, (_, what) in COMMANDS.items()]
        show("\n".join(["fdbpl COMMAND …, each with --help of its own:", *lines]))
        return
    end_by_signals()
    with _one_message():
        if name not in COMMANDS:
            raise unknown_name("command", name, COMMANDS)
    # As `python -m` runs it: `--help` lists the flags of the main module.
    module = f"fdbpl_jax.{COMMANDS[name][0]}"
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def command_of(argv: list[str]) -> str:
    """Take the first word that is no flag out of `argv`; "" if there is none."""
    if len(argv) > 1 and not argv[1].startswith("-"):
        return argv.pop(1)
    return ""


def show(text: str) -> None:
    """Print a text, with control characters in its lines escaped."""
    print("\n".join(map(printable, text.split("\n"))), flush=True)


def share_of(text: str) -> tuple[int, int]:
    """(index, count) of --shard=index/count.

    Raises:
      UserError: it is not of this form, or the index is not below the count.
    """
    index, _, count = text.partition("/")
    is_short = len(text) < 20
    if is_short and index.isdecimal() and count.isdecimal() and int(index) < int(count):
        return int(index), int(count)
    raise UserError(f"--shard is '{text}'", "Give index/count, such as 0/4 to 3/4.")


def _log_plainly() -> None:
    """Log time and message, a warning once; of other libraries only warnings."""
    logging.set_verbosity(logging.INFO)
    warned = set()

    def is_shown(record: std_logging.LogRecord) -> bool:
        record.msg, record.args = printable(record.getMessage().strip()), None
        is_ours = _PACKAGE in record.pathname
        if record.levelno != std_logging.WARNING:
            # Threads of Orbax print the trace of an error that it raises all the same.
            is_error = record.levelno > std_logging.WARNING and not record.exc_info
            return is_ours or is_error
        is_new = record.msg not in warned
        warned.add(record.msg)
        return is_new

    handler = logging.get_absl_handler()
    handler.setFormatter(std_logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    handler.addFilter(is_shown)
    warnings.showwarning = functools.partial(_log_warning, set())


def _log_warning(
    places: set[tuple[str, int]],
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: Any = None,
    line: str | None = None,
) -> None:
    """Log a library's warning as one line, once of each place in its source."""
    if (filename, lineno) not in places:
        places.add((filename, lineno))
        logging.warning("%s", message)


def _parse(
    argv: list[str], required: Sequence[str], more_help: Callable[[], str] = str
) -> list[str]:
    try:
        _refuse_repeated(argv)
        rest = flags.FLAGS(argv)
        for name in required:
            if flags.FLAGS[name].value is None:
                raise UserError(f"--{name} is missing", "Try --help.")
            # A config file that did not load only says so when it is looked into.
            getattr(flags.FLAGS[name].value, "to_dict", None)
    except (flags.Error, *OUTSIDE):
        raise
    except SystemExit:  # `--help` has been printed; absl ends with 1
        if settings := more_help():
            show(settings)
        _flush()
        sys.exit(0)
    # Whatever else a config file raises is raised within the parser.
    except Exception as error:
        text = error.args[0] if isinstance(error, KeyError) else error
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{place.filename}, line {place.lineno}"
        kind = type(error).__name__
        raise UserError(f"{kind}: {text}", f"Raised in {where}.") from error
    return rest


def _refuse_repeated(argv: list[str]) -> None:
    """Refuse a setting given twice: a value would be lost, or a list would grow."""
    names = [word.lstrip("-").partition("=")[0] for word in argv[1:]]
    for name in names:
        if name.startswith("config.") and names.count(name) > 1:
            raise UserError(f"--{name} is given twice", "Give it once.")


def _flush() -> None:
    if sys.stdout is not None:  # None: it was closed before the program began
        sys.stdout.flush()


def _drop_output() -> None:
    """Let what was printed and cannot be written go, or Python says so at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
