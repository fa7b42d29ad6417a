"""The site of the docs: it is built strictly and loads nothing from elsewhere."""

import html
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.pages import ROOT, commands

pytest.importorskip("mkdocs", reason="the extra `docs` is not installed")


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--site-dir",
        folder,
    ]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def loaded(text: str) -> list[str]:
    """What a page loads by itself: links that a reader follows are none of it."""
    tags = re.findall(r"<(?:script|img|link|iframe|source)\b[^>]*>", text)
    return [link for tag in tags for link in re.findall(r'(?:src|href)="([^"]+)"', tag)]


def test_pages_load_nothing_from_other_hosts(site):
    outside = re.compile(r"(https?:)?//")
    assert outside.match(loaded('<script src="//x.org/a.js">')[0])
    pages = list(site.rglob("*.html"))
    assert len(pages) > 15
    for page in pages:
        links = loaded(page.read_text())
        assert links
        assert not [link for link in links if outside.match(link)], page
    for style in site.rglob("*.css"):
        assert not re.findall(
            r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", style.read_text()
        )


def test_every_command_is_a_block_on_the_site(site):
    for source in sorted((ROOT / "docs").glob("*.md")):
        page = (site / f"{source.stem}.html").read_text()
        blocks = re.findall(r"<pre.*?</pre>", page, re.DOTALL)
        text = html.unescape(re.sub("<[^>]+>", "", "\n".join(blocks)))
        shown = " ".join(text.replace("\\\n", " ").replace('"', "").split())
        for command in commands(source.read_text(), source.name):
            words = " ".join(command.words)
            assert not command.is_block or words in shown or "$" in shown, words
