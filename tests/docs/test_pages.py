"""What README and docs say of the code, of each other, and of what they compute."""

import importlib
import itertools
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from support.pages import ROOT, inline, pages

from fdbpl_jax.data.catalogue import CATALOGUE

PAGES = [pytest.param(page, id=page.name) for page in pages()]


def named(dotted: str) -> Any:
    """The module, or what it has of that name."""
    parts = dotted.split(".")
    for n in range(len(parts), 0, -1):
        try:
            value: Any = importlib.import_module(".".join(parts[:n]))
        except ModuleNotFoundError:
            continue
        for part in parts[n:]:
            value = getattr(value, part)
        return value
    raise AttributeError(dotted)


def dotted_names(text: str) -> list[str]:
    return [code for code in inline(text) if re.fullmatch(r"fdbpl_jax(\.\w+)+", code)]


@pytest.mark.parametrize("page", PAGES)
def test_functions_and_files_that_pages_name_exist(page):
    text = page.read_text()
    for name in dotted_names(text):
        assert named(name) is not None
    for code in inline(text):
        if re.fullmatch(r"(fdbpl_jax|tests|docs|configs|launch|tools)/[\w/.]+", code):
            assert (ROOT / code).exists(), code


def test_a_function_that_does_not_exist_is_noticed():
    with pytest.raises(AttributeError):
        named("fdbpl_jax.losses.fdbpl.third_order")


def test_every_equation_stands_beside_a_function():
    text = (ROOT / "docs" / "method.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("|")]
    with_function = [row for row in rows if dotted_names(row)]
    # In the equations' column, which is the second.
    numbers = re.findall(r"\((\d+)\)", " ".join(r.split("|")[2] for r in with_function))
    assert set(map(int, numbers)) == set(range(1, 18))


def slug(title: str) -> str:
    """The anchor that forges and the site make of a title."""
    plain = re.sub(r"[`*]", "", title).lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    tokens = MarkdownIt("commonmark").parse(page.read_text())
    follow = itertools.pairwise(tokens)
    return {slug(text.content) for t, text in follow if t.type == "heading_open"}


def links(text: str) -> list[str]:
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    children = [child for token in tokens for child in token.children or ()]
    targets = [
        str(child.attrs["href"]) for child in children if child.type == "link_open"
    ]
    return [link for link in targets if "://" not in link]


@pytest.mark.parametrize("page", PAGES)
def test_links_between_pages_lead_somewhere(page):
    for link in links(page.read_text()):
        path, _, anchor = link.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.is_file(), link
        assert not anchor or anchor in anchors(place), link
        if page.parent.name == "docs":  # the site has nothing beside them
            assert place.parent == page.parent, link


def test_every_page_has_its_place_on_the_site():
    site = (ROOT / "mkdocs.yml").read_text()
    entries = re.findall(r": (\w+\.md)$", site, re.MULTILINE)
    assert sorted(entries) == sorted(p.name for p in (ROOT / "docs").glob("*.md"))


def test_the_page_of_settings_is_up_to_date(tmp_path):
    page = tmp_path / "settings.md"
    command = [sys.executable, "-m", "tools.settings_page", page]
    subprocess.run(command, cwd=ROOT, check=True)
    # Else run `python -m tools.settings_page docs/settings.md`.
    assert (ROOT / "docs" / "settings.md").read_text() == page.read_text()


def measured(pattern: str) -> float:
    """A number of docs/performance.md."""
    match = re.search(pattern, (ROOT / "docs" / "performance.md").read_text())
    assert match is not None, pattern
    return float(match[1])


def test_hours_of_reproducing_follow_from_the_measured_rates():
    region = measured(r"a region of our table.*\| ([\d.]+) \|")
    image = measured(r"a test image, ours \| ([\d.]+) \|")
    step = measured(r"a step of our FDBPL, batch 128 \| ([\d.]+) \|")
    kdpl = measured(r"\| coop\+kdpl \| ([\d.]+) \(")
    size = measured(r"\| 20 \| 73.8 \| ([\d.]+) \|")
    text = (ROOT / "docs" / "reproducing.md").read_text()
    assert all(f"{rate:g}" in text for rate in (region, image, step, kdpl, size))
    totals = [0.0] * 7
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \|(.*)\|$", text, re.MULTILINE)
    assert len(rows) == 11
    for name, base, cells in rows:
        counts, b = CATALOGUE[name].published, int(base)
        assert b == math.ceil(counts.classes / 2)
        n, r = 48 * b, 50 * 48 * b
        hours = (
            r * region,
            counts.test * image,
            3 * 50 * (16 * b // 128) * step * b / 50,
            3 * 50 * (16 * b // 32) * kdpl,
        )
        expected = [n, r, r * size / 1e6, *(seconds / 3600 for seconds in hours)]
        assert cells.split("|") == shown(expected)
        totals = [total + value for total, value in zip(totals, expected, strict=True)]
    assert "|".join(["| all |  ", *shown(totals)]) + "|\n" in text


def shown(values: list[float]) -> list[str]:
    n, r, disk, table, test, training, kdpl = values
    parts = (f"{n:,.0f}", f"{r:,.0f}", f"{disk:,.0f}", f"{table:.1f}", f"{test:.1f}")
    return [f" {part} " for part in (*parts, f"{training:.2f}", f"{kdpl:.0f}")]
