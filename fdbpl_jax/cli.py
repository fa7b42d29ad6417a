"""The frame of every command: flags in, one clear message out on bad input."""

import logging as std_logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from absl import app, flags, logging

from fdbpl_jax.errors import UserError, printable

_PACKAGE = str(Path(__file__).parent)


def run_app(main: Callable[[], None], required: Sequence[str] = ()) -> None:
    """Parse the flags, of which some are `required`, and run `main`.

    A `UserError`, or a flag that does not exist or does not parse, ends in its message
    on stderr and exit status 2; any other exception keeps its traceback.
    """

    def guarded(argv: list[str]) -> None:
        _log_plainly()
        try:
            main()
        except UserError as error:
            _refuse(error)

    app.run(guarded, flags_parser=lambda argv: _parse(argv, required))


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
    if index.isdecimal() and count.isdecimal() and int(index) < int(count):
        return int(index), int(count)
    raise UserError(f"--shard is '{text}'", "Give index/count, such as 0/4 to 3/4.")


class _OneLine(std_logging.Formatter):
    """Time and message, the message on one line."""

    def formatMessage(self, record: std_logging.LogRecord) -> str:
        record.message = printable(record.message)
        return super().formatMessage(record)


def _log_plainly() -> None:
    """Log time and message; of other libraries only warnings."""
    logging.set_verbosity(logging.INFO)
    handler = logging.get_absl_handler()
    handler.setFormatter(_OneLine("%(asctime)s %(message)s", "%H:%M:%S"))
    handler.addFilter(
        lambda record: (
            record.levelno >= std_logging.WARNING or _PACKAGE in record.pathname
        )
    )


def _parse(argv: list[str], required: Sequence[str]) -> list[str]:
    try:
        _refuse_repeated(argv)
        rest = flags.FLAGS(argv)
        for name in required:
            if flags.FLAGS[name].value is None:
                raise UserError(f"--{name} is missing", "Try --help.")
            # A config file that did not load only says so when it is looked into.
            getattr(flags.FLAGS[name].value, "to_dict", None)
        if len(rest) > 1:
            raise UserError(f"argument '{rest[1]}' is not a flag", "Try --help.")
    # A config file that is missing or lacks a key raises these from within the parser.
    except (UserError, flags.Error, OSError, AttributeError, KeyError, TypeError) as e:
        _refuse(e)
    return rest


def _refuse_repeated(argv: list[str]) -> None:
    """Refuse a setting given twice: a value would be lost, or a list would grow."""
    names = [word.lstrip("-").partition("=")[0] for word in argv[1:]]
    for name in names:
        if name.startswith("config.") and names.count(name) > 1:
            raise UserError(f"--{name} is given twice", "Give it once.")


def _refuse(error: Exception) -> None:
    text = error.args[0] if isinstance(error, KeyError) else str(error)
    print(f"error: {printable(str(text))}", file=sys.stderr)
    sys.exit(2)
