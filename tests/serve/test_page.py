"""The page in a real browser, and what must hold without one."""

import os
import re
import shutil
from pathlib import Path

import pytest
from support.exports import NAMES
from support.serving import picture, png, running

from fdbpl_jax.serve.app import create_app
from fdbpl_jax.serve.upload import Limits

CHROMIUM = shutil.which("chromium")


def test_it_has_all_inside_and_may_ask_nobody_else(client):
    answer = client.get("/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy
    assert "unsafe" not in policy
    assert not re.findall(r"(?:https?:)?//[a-z]", answer.text)
    assert not re.findall(r"<(?:link|script src|img src|iframe)", answer.text)
    for word in ("innerHTML", "eval(", "localStorage", "cookie"):
        assert word not in answer.text
    assert client.get("/").text == answer.text


def until(locator):
    """Playwright's assertions, which wait until they hold."""
    expect = pytest.importorskip("playwright.sync_api").expect
    expect.set_options(timeout=60_000)  # names are compiled for
    return expect(locator)


@pytest.fixture(scope="module", name="address")
def _address(predictor, regions):
    limits = Limits(mebibytes=1)
    with running(create_app(predictor, regions, limits), limits) as port:
        yield f"http://127.0.0.1:{port}/"


@pytest.fixture(scope="module", name="browser")
def _browser():
    api = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("there is no chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"]
        )
        yield browser
        browser.close()


@pytest.fixture(name="page", params=[(1200, "light"), (390, "dark")])
def _page(browser, address, request):
    """The page, wide and light or narrow and dark; it must not fail or ask others."""
    width, scheme = request.param
    context = browser.new_context(
        viewport={"width": width, "height": 844}, color_scheme=scheme
    )
    page, faults, asked = context.new_page(), [], []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda line: faults.append(line.text))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    until(page.locator("#limits")).not_to_be_empty()
    yield page
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= width
    assert all(url.startswith((address, "blob:")) for url in asked)
    refused = "Failed to load resource: the server responded with a status of 4"
    assert [fault for fault in faults if not fault.startswith(refused)] == []
    context.close()


def send(page, *files: tuple[str, bytes]) -> None:
    page.set_input_files(
        "#files",
        [
            {"name": name, "mimeType": "image/png", "buffer": content}
            for name, content in files
        ],
    )
    until(page.locator(".verdict", has_text="waiting")).to_have_count(0)


def card(page, name: str):
    return page.locator("article").filter(has=page.locator(f"h2:text-is('{name}')"))


def shot(page, name: str) -> None:
    """A screenshot, to be looked at, where a folder is given by the environment."""
    if folder := os.environ.get("FDBPL_SCREENSHOTS"):
        width = page.viewport_size["width"]
        page.screenshot(path=Path(folder) / f"{name}-{width}.png", full_page=True)


@pytest.mark.slow
def test_uploaded_pictures_get_bars_as_the_classifier_says(page, classifier):
    page.locator("#threshold").press("Home")  # never "No"
    images = [picture(seed, (400, 300)) for seed in range(2)]
    send(page, *((f"{n}.png", png(image)) for n, image in enumerate(images)))
    for n, said in enumerate(classifier.predict(images)):
        shown = card(page, f"{n}.png")
        assert shown.locator(".bars li > span:first-child").all_inner_texts() == [
            *said.labels
        ]
        shares = [f"{100 * share:.1f}\u00a0%" for share in said.probabilities]
        assert shown.locator(".share").all_inner_texts() == shares
        assert shown.locator(".verdict").inner_text() == said.labels[0]
        track = shown.locator(".track").first.bounding_box()["width"]
        bar = shown.locator(".track div").first.bounding_box()["width"]
        assert bar / track == pytest.approx(said.probabilities[0], abs=0.01)
    shot(page, "bars")
    card(page, "0.png").locator(".remove").click()
    assert page.locator("article").count() == 1


@pytest.mark.slow
def test_the_slider_says_no_below_its_score(page, classifier):
    images = [picture(seed) for seed in range(4)]
    send(page, *((f"{n}.png", png(image)) for n, image in enumerate(images)))
    scores = sorted(said.rejection for said in classifier.predict(images))
    start = classifier.reject_below
    assert page.locator(".rejected").count() == sum(x < start for x in scores)
    assert page.locator("#value").inner_text() == f"{start:.2f}".replace("-", "−")
    middle = (scores[1] + scores[2]) / 2
    page.locator("#threshold").fill(str(middle))
    assert page.locator(".rejected").count() == 2
    first = page.locator(".rejected .verdict").first.inner_text()
    assert first == "No: none of these classes"
    shot(page, "no")
    page.locator("#threshold").focus()
    page.keyboard.press("End")
    assert page.locator(".rejected").count() == 4
    page.keyboard.press("Home")
    assert page.locator(".rejected").count() == 0
    assert page.locator("#value").inner_text() == "never"


@pytest.mark.slow
def test_a_broken_and_a_large_file_say_so_beside_a_good_one(page):
    files = [("broken.png", b"no picture"), ("large.png", b"x" * 2**21)]
    send(page, ("good.png", png(picture())), *files)
    text = card(page, "broken.png").locator(".verdict").inner_text()
    assert text == (
        "image 'broken.png' cannot be read (not an image of a known format)"
    )
    assert card(page, "large.png").locator(".verdict").inner_text() == (
        "larger than 1 MiB"
    )
    assert card(page, "good.png").locator(".bars li").count() == len(NAMES)
    shot(page, "broken")


@pytest.mark.slow
def test_other_names_are_asked_for_and_cleared(page):
    send(page, ("a.png", png(picture())))
    labels = card(page, "a.png").locator(".bars li > span:first-child")
    page.fill("#names", "a cat\n\n <b>dog</b> \n")
    page.click("#others button >> nth=0")
    until(page.locator(".bars li")).to_have_count(2)
    assert sorted(labels.all_inner_texts()) == ["<b>dog</b>", "a cat"]
    page.fill("#names", "just this")
    page.click("#others button >> nth=0")
    page.wait_for_selector(".broken")
    text = page.locator(".verdict").inner_text()
    assert text == "1 class names are sent, and 2 to 100 are taken"
    page.click("#own")
    until(page.locator(".bars li")).to_have_count(4)
    assert sorted(labels.all_inner_texts()) == sorted(NAMES)


@pytest.mark.slow
def test_regions_are_drawn_with_their_weights(page):
    send(page, ("a.png", png(picture(2, (400, 300)))))
    page.click(".show")
    page.wait_for_selector(".tiles")
    assert page.locator(".boxes div").count() == 6
    weights = [
        float(text.removeprefix("w "))
        for text in page.locator(".tiles div").all_inner_texts()
        if text.startswith("w ")
    ]
    assert len(weights) == 6
    assert weights == sorted(weights, reverse=True)
    frame = page.locator(".frame img").bounding_box()
    for box in page.locator(".boxes div").all():
        part = box.bounding_box()
        assert part["x"] >= frame["x"] - 1
        assert part["x"] + part["width"] <= frame["x"] + frame["width"] + 1
        assert part["y"] + part["height"] <= frame["y"] + frame["height"] + 1
    shot(page, "regions")
    page.click(".show")
    assert page.locator(".boxes div").count() == 0


@pytest.mark.slow
def test_a_dropped_picture_is_classified(page):
    page.evaluate(
        """bytes => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(bytes)], "dropped.png"));
          dispatchEvent(new DragEvent("drop", { dataTransfer: data }));
        }""",
        list(png(picture())),
    )
    page.wait_for_selector(".bars li")
    assert card(page, "dropped.png").count() == 1
