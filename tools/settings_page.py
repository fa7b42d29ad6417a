"""Writes docs/settings.md from the settings and flags themselves.

python -m tools.settings_page docs/settings.md
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags
from tabulate import tabulate

from fdbpl_jax import main as run
from fdbpl_jax.experiments.reference import PUBLISHED, Setting, settings
from fdbpl_jax.files import write_text

_INTRODUCTION = f"""# Settings

Written by `python -m tools.settings_page docs/settings.md`; `fdbpl run --help` prints
the same. Every setting can be set in a config file and on the command line, as
`--config.data.shots=8`; lists are written with commas. `{PUBLISHED}` is the published
setting of the method for the protocol (`fdbpl methods`). [Running](running.md) says
which of several values is used, and how values are swept.
"""


def page() -> str:
    """The page in Markdown."""
    parts = [_INTRODUCTION, "## Flags of `fdbpl run`\n", _flags()]
    for group in settings():
        title = f"`{group.name}`" if group.name else "The run"
        parts += [f"## {title}\n", f"{group.about.removesuffix('.')}.\n"]
        parts.append(_table(group.settings, "--config."))
    return "\n".join(parts)


def _flags() -> str:
    defined = flags.FLAGS.get_key_flags_for_module(run)
    rows = [
        Setting(flag.name, _default(flag), flag.help.rstrip("."))
        for flag in sorted(defined, key=lambda flag: flag.name)
    ]
    return _table(rows, "--")


def _default(flag: flags.Flag) -> str:
    return str(flag.default_as_str or "").strip("'").replace("None", "")


def _table(rows: Sequence[Setting], prefix: str) -> str:
    cells = [
        (
            f"`{prefix}{row.name}`",
            f"`{row.default}`" if row.default else "",
            row.meaning,
        )
        for row in rows
    ]
    columns = ("setting", "default", "meaning")
    return tabulate(cells, columns, "pipe", disable_numparse=True) + "\n"


if __name__ == "__main__":
    write_text(Path(sys.argv[1]), page())
