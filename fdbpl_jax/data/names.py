"""A list of names to distil on without the classes of a data set."""

from collections import Counter
from pathlib import Path

from fdbpl_jax.errors import UserError


def read_names(file: Path) -> tuple[str, ...]:
    """The names in a text file, one a line, in order; blank lines do not count.

    Raises:
      UserError: it cannot be read, has a name twice, or fewer than two.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"no names read from '{file}': {error}", "Give a text file in UTF-8."
        ) from error
    names = [line.strip() for line in lines if line.strip()]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice or len(names) < 2:
        what = f"has '{twice[0]}' twice" if twice else "has fewer than two names"
        raise UserError(f"'{file}' {what}", "Give every name once, one a line.")
    return tuple(names)
