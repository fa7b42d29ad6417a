"""The exception whose message is for the user, and text kept on one line."""

import difflib
import os
import re
from collections.abc import Iterable

from jax.errors import JaxRuntimeError

_LISTED = 50  # names at most in a message: there may be thousands
_LONGEST = 4000  # characters of a message

# They move the cursor, end the line, turn its direction, or cannot be written at all:
# a name that holds them could forge a line of a log.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """The text on one line, control characters escaped as in Python."""
    return _CONTROL.sub(lambda match: repr(match[0])[1:-1], text)


class UserError(Exception):
    """Something in the user's input, files or machine is wrong, and they can mend it.

    Args:
      what: what is wrong, with the value and where it was found.
      do: what to do about it, as a full sentence; may be empty.
    """

    def __init__(self, what: str, do: str = "") -> None:
        super().__init__(what, do)
        self.what = what
        self.do = do

    def __str__(self) -> str:
        return printable(f"{self.what.rstrip('.')}. {self.do}".rstrip())


# Errors from outside; anything else is a bug and keeps its traceback.
OUTSIDE = (UserError, OSError, MemoryError, JaxRuntimeError)


def one_line(text: object) -> str:
    """A message, or that of an error from outside, as one line that a terminal prints.

    Control characters are escaped, and a text of more than some thousand is cut.
    """
    if isinstance(text, OSError) and text.strerror:
        where = f": '{os.fsdecode(text.filename)}'" if text.filename else ""
        text = f"{text.strerror}{where}"
    words = " ".join(str(text).split()) or type(text).__name__
    words = words if len(words) <= _LONGEST else f"{words[:_LONGEST]} …"
    return printable(words)


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UserError:
    """A `UserError` for a name that is not in `known`, with the nearest that is."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    guess = f"Did you mean '{near[0]}'? " if near else ""
    more = f" and {len(known) - _LISTED} more" if len(known) > _LISTED else ""
    return UserError(
        f"unknown {kind} '{name}'",
        f"{guess}Known: {', '.join(known[:_LISTED])}{more}.",
    )
