"""Commands in Markdown pages, read as a forge renders them."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]
_PROGRAMS = r"(\$ )?(fdbpl|python|pip|make|pytest|launch/\w+\.sh)"
_LINE = re.compile(rf"{_PROGRAMS} \S")
_END = {"<", ">", ">>", "|", "&&", ";", "2>"}  # of what a shell gives to a command


class Command(NamedTuple):
    """A command, and where it stands."""

    page: str
    words: list[str]
    is_block: bool  # to be typed as it stands; else named in a sentence


def pages() -> list[Path]:
    named = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "WORKSPACE.md")]
    return [*named, *sorted((ROOT / "docs").glob("*.md"))]


def docstrings() -> dict[str, str]:
    """Those of configs and modules by file, with their blocks as Markdown has them."""
    files = [*(ROOT / "configs").rglob("*.py"), *(ROOT / "fdbpl_jax").rglob("*.py")]
    texts = {f: ast.get_docstring(ast.parse(f.read_text())) or "" for f in files}
    return {
        str(file.relative_to(ROOT)): re.sub("^  ", "    ", text, flags=re.MULTILINE)
        for file, text in sorted(texts.items())
    }


def blocks(text: str) -> list[str]:
    """The contents of a page's fenced and indented blocks."""
    tokens = _parser().parse(text)
    return [token.content for token in tokens if token.type in ("fence", "code_block")]


def inline(text: str) -> Iterator[str]:
    """What stands between backticks in sentences, tables and titles."""
    for token in _parser().parse(text):
        for child in token.children or ():
            if child.type == "code_inline":
                yield " ".join(child.content.split())


def commands(text: str, page: str) -> Iterator[Command]:
    """The commands of a page in order; alternatives, as in `build|show`, one by one."""
    for block in blocks(text):
        for name, value in re.findall(r'^(\w+)="([^"]*)"$', block, re.MULTILINE):
            block = block.replace(f"${name}", value)
        for line in block.replace("\\\n", " ").splitlines():
            yield from _commands(line.strip(), page, is_block=True)
    for code in inline(text):
        yield from _commands(code, page, is_block=False)


def unrendered(text: str) -> list[str]:
    """Lines that are meant as blocks, by their indentation, and are not rendered so."""
    rendered = {line.strip() for block in blocks(text) for line in block.splitlines()}
    lines = [line for line in text.splitlines() if line.startswith("    ")]
    commands = [line.strip() for line in lines if _LINE.match(line.strip())]
    return [line for line in commands if line not in rendered]


def _commands(line: str, page: str, *, is_block: bool) -> Iterator[Command]:
    if not _LINE.match(line):
        return
    words = shlex.split(line.removeprefix("$ "), comments=True)
    ends = [n for n, word in enumerate(words) if word in _END]
    words = words[: min(ends, default=len(words))]
    choices = [[word] if "=" in word else word.split("|") for word in words]
    for n in range(max(map(len, choices))):
        yield Command(page, [c[min(n, len(c) - 1)] for c in choices], is_block)


def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark").enable("table")
