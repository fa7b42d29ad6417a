"""What the service answers: as the classifier says, or one line that says why not."""

import asyncio
import base64
import builtins
import importlib.resources
import io
import json
import os
import threading
import time

import jsonschema
import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient
from support.exports import NAMES, make_export
from support.serving import LIMITS, picture, png

import fdbpl_jax
from fdbpl_jax.classifier.classifier import Classifier
from fdbpl_jax.serve.app import create_app
from fdbpl_jax.serve.predictor import Predictor
from fdbpl_jax.serve.upload import Limits

OPENAPI = importlib.resources.files("fdbpl_jax.serve").joinpath("openapi.json")


def check(answer, path: str) -> dict:
    """The answer's content, which is as the description of the service says."""
    description = json.loads(OPENAPI.read_text())
    method = answer.request.method.lower()
    responses = description["paths"][path][method]["responses"]
    status = str(answer.status_code)
    content = responses.get(status) or responses[f"{status[0]}XX"]
    if "$ref" in content:
        content = description["components"]["responses"][content["$ref"].split("/")[-1]]
    schema = content["content"]["application/json"]["schema"]
    jsonschema.Draft202012Validator(description | schema).validate(answer.json())
    return answer.json()


def files(*contents: bytes):
    return [("image", (f"{n}.png", content)) for n, content in enumerate(contents)]


def refused(answer, status: int, path: str = "/predict") -> str:
    assert answer.status_code == status, answer.text
    return check(answer, path)["error"]


def expected(classifier, images, **asked) -> list[dict]:
    return [said._asdict() for said in classifier.predict(images, **asked)]


def same(answer: dict, said: list[dict]) -> None:
    assert len(answer["predictions"]) == len(said)
    for got, want in zip(answer["predictions"], said, strict=True):
        assert tuple(got["labels"]) == want["labels"]
        assert got["probabilities"] == pytest.approx(want["probabilities"], abs=1e-5)
        assert got["rejection"] == pytest.approx(want["rejection"], abs=1e-4)


def test_images_of_a_form_are_classified_as_by_the_classifier(client, classifier):
    images = [picture(seed) for seed in range(3)]
    answer = client.post("/predict", files=files(*map(png, images)), data={"top": 2})
    same(check(answer, "/predict"), expected(classifier, images, top=2))


def test_images_in_json_are_the_same(client, classifier):
    images = [picture(7), picture(8)]
    texts = [base64.b64encode(png(image)).decode() for image in images]
    answer = client.post("/predict", json={"images": texts})
    same(check(answer, "/predict"), expected(classifier, images))
    assert len(answer.json()["predictions"][0]["labels"]) == len(NAMES)


@pytest.mark.parametrize("form", [True, False])
def test_other_names_are_classes_of_their_own(client, classifier, form):
    names = ["a cat", "a dog", "a hat"]
    image = picture(3)
    if form:
        answer = client.post(
            "/predict", files=files(png(image)), data={"classes": names}
        )
    else:
        text = base64.b64encode(png(image)).decode()
        answer = client.post("/predict", json={"images": [text], "classes": names})
    same(check(answer, "/predict"), expected(classifier, [image], classes=names))


def test_an_image_is_read_as_from_a_file(client, classifier, tmp_path):
    """Upright by its EXIF data, its palette as RGB."""
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90°
    for kind, image, settings in (
        ("JPEG", picture(1), {"exif": exif}),
        ("GIF", picture(2).quantize(8), {}),
    ):
        content = png(image, kind, **settings)
        (tmp_path / "file").write_bytes(content)
        answer = client.post("/predict", files=files(content))
        same(check(answer, "/predict"), expected(classifier, [tmp_path / "file"]))


def test_classes_health_and_description(client, classifier):
    facts = check(client.get("/classes"), "/classes")
    assert facts.pop("reject_below") == pytest.approx(classifier.reject_below)
    assert facts == {
        "classes": list(NAMES),
        "takes_other_classes": True,
        "rejects": True,
        "regions": 6,
        "limits": {
            **{"mebibytes": 1, "megapixels": 1, "images": 3, "waiting": 4},
            "seconds": 30.0,
        },
    }
    before = check(client.get("/healthz"), "/healthz")
    assert before["status"] == "ok"
    assert before["waiting"] == 0
    client.post("/predict", files=files(png(picture())))
    client.post("/predict", files=files(b"broken"))
    assert client.get("/healthz").json()["answered"] == before["answered"] + 1
    description = client.get("/openapi.json").json()
    assert description["info"]["version"] == fdbpl_jax.__version__
    assert set(description["paths"]) == {"/predict", "/regions", "/classes", "/healthz"}


def test_a_classifier_without_negative_prompt_does_not_reject(tmp_path):
    specific = make_export(tmp_path / "export", "coop", class_specific=True)
    predictor = Predictor(Classifier.load(specific), 1)
    with TestClient(create_app(predictor, None, LIMITS)) as client:
        facts = check(client.get("/classes"), "/classes")
        assert (facts["rejects"], facts["takes_other_classes"]) == (False, False)
        assert facts["reject_below"] is None
        answer = client.post("/predict", files=files(png(picture())))
        assert check(answer, "/predict")["predictions"][0]["rejection"] is None
        others = {"classes": ["a", "b"]}
        answer = client.post("/predict", files=files(png(picture())), data=others)
        assert "4 single classes" in refused(answer, 422)
        answer = client.post("/regions", files=files(png(picture())))
        assert "no teacher" in refused(answer, 404, "/regions")


def cut_off(content: bytes) -> bytes:
    return content[: len(content) // 2]


BROKEN = {
    "no image": (b"GIF, they say", "not an image"),
    "empty": (b"", "not an image"),
    "cut off": (cut_off(png(picture(size=(300, 300)), "JPEG")), "truncated"),
    "too many pixels": (
        png(Image.new("L", (1001, 1000))),
        "more than 1,000,000 pixels",
    ),
    "too long a side": (png(Image.new("L", (70_000, 1))), "65,535 on a side"),
    "a path": (b"/etc/passwd", "not an image"),
    "an address": (b"http://127.0.0.1/a.png", "not an image"),
    "a drawing": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
    "PostScript": (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "not an image",
    ),
    "no range": (png(Image.new("F", (9, 9)), "TIFF"), "no known range"),
}


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("path", ["/predict", "/regions"])
def test_a_broken_image_is_one_line_that_names_it(client, case, path):
    content, reason = BROKEN[case]
    answer = client.post(path, files=[("image", ("some\u202ename.png", content))])
    text = refused(answer, 422, path)
    assert text.startswith("image 'some\\u202ename.png' ")
    assert reason in text


def test_all_broken_images_are_named(client):
    answer = client.post("/predict", files=files(b"", png(picture()), b"x"))
    assert refused(answer, 422).startswith("2 images are broken: image '0.png' cannot")


GOOD = base64.b64encode(png(picture())).decode()
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("{", "truncated"),
        ("[]", "Expected `object`"),
        ("[" * 100_000, "Expected `object`"),
        (json.dumps({}), "missing required field `images`"),
        (json.dumps({"images": []}), "0 images"),
        (json.dumps({"images": [GOOD] * 4}), "4 images are sent, and 1 to 3"),
        (json.dumps({"images": GOOD}), "Expected `array`"),
        (json.dumps({"images": ["%%%"]}), "base64"),
        (json.dumps({"images": [f"data:image/png;base64,{GOOD}"]}), "base64"),
        (json.dumps({"images": ["aGk="]}), "image '1' cannot be read"),
        (json.dumps({"images": [None]}), "Expected `bytes`"),
        (json.dumps({"images": [GOOD], "path": "/etc/passwd"}), "unknown field `path`"),
        (json.dumps({"images": [GOOD], "top": 0}), "top"),
        (json.dumps({"images": [GOOD], "top": 1e99}), "top"),
        (json.dumps({"images": [GOOD], "top": "3"}), "top"),
        (json.dumps({"images": [GOOD], "classes": ["cat"]}), "1 class names"),
        (json.dumps({"images": [GOOD], "classes": ["c"] * 101}), "101 class names"),
        (json.dumps({"images": [GOOD], "classes": ["", "b"]}), "length >= 1"),
        (json.dumps({"images": [GOOD], "classes": ["a" * 201, "b"]}), "length <= 200"),
        (json.dumps({"images": [GOOD], "classes": ["cat", "Cat"]}), "read the same"),
        (json.dumps({"images": [GOOD], "classes": ["T-shirt", "T - shirt"]}), "T-sh"),
        (json.dumps({"images": [GOOD], "classes": ["a\nb", "c"]}), "control character"),
        (json.dumps({"images": [GOOD], "classes": ["a\u202eb", "c"]}), "control char"),
        (json.dumps({"images": [GOOD], "classes": ["a", "\ud800"]}), ""),
        (json.dumps({"images": [GOOD], "classes": ["a cat", "q " * 90]}), "tokens"),
        (b'{"images": ["\xff"]}', ""),
    ],
)
def test_json_that_is_not_understood(client, body, reason):
    answer = client.post("/predict", content=body, headers=JSON)
    assert reason in refused(answer, 422)


@pytest.mark.parametrize(
    ("fields", "contents", "reason"),
    [
        ({"top": "1"}, [], "0 images"),
        ({}, [png(picture())] * 4, "Maximum number of files is 3"),
        ({"top": "many"}, [png(picture())], "top"),
        ({"url": "http://a.b"}, [png(picture())], "unknown field `url`"),
        ({"classes": "a" * 2000}, [png(picture())], "exceeded maximum size"),
        ({"classes": ["a"] * 200}, [png(picture())], "Maximum number of fields"),
        ({"image": "/etc/passwd"}, [], "'image' is no file"),
    ],
)
def test_a_form_that_is_not_understood(client, fields, contents, reason):
    parts = [
        (name, (None, text))
        for name, texts in fields.items()
        for text in ([texts] if isinstance(texts, str) else texts)
    ]
    answer = client.post("/predict", files=[*parts, *files(*contents)])
    assert reason in refused(answer, 422)


def test_a_file_in_another_field_is_refused(client):
    answer = client.post("/predict", files=[("top", ("a.png", png(picture())))])
    assert "field 'top' is a file" in refused(answer, 422)


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("", b"", 415),
        ("text/plain", b"hello", 415),
        ("image/png", png(picture()), 415),
        ("multipart/form-data", b"", 422),
        ("multipart/form-data; boundary=a", b"no form", 422),
        ("multipart/form-data; boundary=a", b"--a\r\nno header\r\n\r\nx\r\n--a--", 422),
        ("multipart/form-data; boundary=a", b"--a\r\n\r\nx\r\n--a--\r\n", 422),
        ("application/x-www-form-urlencoded", b"image=/etc/passwd", 415),
    ],
)
def test_another_kind_of_content_is_refused(client, kind, body, status):
    headers = {"content-type": kind} if kind else {}
    refused(client.post("/predict", content=body, headers=headers), status)


def test_too_large_a_request_is_refused(client):
    answer = client.post("/predict", files=files(b"x" * 2**20))
    assert refused(answer, 413) == "the request is larger than 1 MiB"

    def parts():  # of unknown length
        for _ in range(1000):
            yield b" " * 2**16
            sent.append(1)

    sent: list[int] = []
    answer = client.post("/predict", content=parts(), headers=JSON)
    assert refused(answer, 413) == "the request is larger than 1 MiB"


def test_other_paths_and_methods_are_one_line(client):
    for answer, status in (
        (client.get("/nothing"), 404),
        (client.get("/../../etc/passwd"), 404),
        (client.get("/predict"), 405),
        (client.delete("/classes"), 405),
    ):
        assert answer.status_code == status
        assert list(answer.json()) == ["error"]


def test_a_page_of_another_site_is_refused(client):
    for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 200)):
        headers = {"sec-fetch-site": site}
        answer = client.post("/predict", files=files(png(picture())), headers=headers)
        assert answer.status_code == status
        check(answer, "/predict")


def test_nothing_that_is_sent_is_opened(client, monkeypatch, tmp_path):
    png_file = tmp_path / "real.png"
    png_file.write_bytes(png(picture()))
    names = [str(png_file), f"file://{png_file}", "../../real.png", "|ls", "CON", "\0"]
    client.post("/predict", files=files(png(picture(size=(1, 1)))))  # all is loaded
    opened = []

    def noting(real):
        def note(path, *args, **kwargs):
            opened.append(path)
            return real(path, *args, **kwargs)

        return note

    for module, function in ((os, "open"), (io, "open"), (builtins, "open")):
        monkeypatch.setattr(module, function, noting(getattr(module, function)))
    status = []
    for name in names:
        for content in (b"", os.fsencode(png_file)):
            answer = client.post("/predict", files=[("image", (name, content))])
            status.append(answer.status_code)
        text = base64.b64encode(name.encode()).decode()
        status.append(client.post("/predict", json={"images": [text]}).status_code)
    assert set(status) == {422}
    assert not opened
    open(png_file, "rb").close()
    assert opened == [png_file]


def test_too_many_and_too_slow_requests_are_refused(predictor):
    limits = Limits(seconds=0.5, waiting=1)
    with TestClient(create_app(predictor, None, limits)) as client:
        service, free = client.app.state.service, threading.Event()
        service.worker.call(lambda: free.wait(20))  # the model is busy
        answers = []

        def ask():
            answers.append(client.post("/predict", files=files(png(picture()))))

        first = threading.Thread(target=ask)
        first.start()
        while not service.waiting:
            pass
        answer = client.post("/predict", files=files(png(picture())))
        assert "1 requests are waiting" in refused(answer, 429)
        assert answer.headers["retry-after"] == "1"
        first.join()
        assert refused(answers[0], 504) == "there is no answer within 0.5 s"
        free.set()
        answer = client.post("/predict", files=files(png(picture())))
        assert answer.status_code == 200
        assert service.waiting == 0


def call(client, receive, *headers: tuple[bytes, bytes]) -> tuple[int, str]:
    """Status and body for a request whose body is that of `receive`."""
    messages = []

    async def send(message):
        messages.append(message)

    scope = {
        **{"type": "http", "method": "POST", "path": "/predict", "query_string": b""},
        "headers": [(b"content-type", b"application/json"), *headers],
    }
    client.portal.call(client.app, scope, receive, send)
    return messages[0]["status"], messages[1]["body"].decode()


def test_a_request_that_does_not_arrive_is_refused(client, monkeypatch):
    monkeypatch.setattr(client.app.state.service, "limits", Limits(seconds=0.2))

    async def receive():
        await asyncio.sleep(60)

    start = time.monotonic()
    status, body = call(client, receive)
    assert time.monotonic() - start < 4
    assert status == 408
    assert "has not arrived within 0.2 s" in body


@pytest.mark.parametrize("length", [b"1048577", b"9" * 30, b"9" * 5000])
def test_a_body_that_says_it_is_too_large_is_not_read(client, length):
    async def receive():
        raise AssertionError("it is read")

    status, body = call(client, receive, (b"content-length", length))
    assert status == 413
    assert "larger than 1 MiB" in body


def test_a_client_that_goes_away_is_no_error_of_ours(client, caplog):
    async def receive():
        return {"type": "http.disconnect"}

    assert call(client, receive)[0] == 400
    assert not caplog.records


def test_a_mistake_of_ours_is_one_line_and_in_the_log(predictor, monkeypatch, caplog):
    app = create_app(predictor, None, LIMITS)
    with TestClient(app, raise_server_exceptions=False) as client:

        def fails(*args):
            raise ValueError("secret")

        monkeypatch.setattr(predictor, "predict", fails)
        answer = client.post("/predict", files=files(png(picture())))
        text = refused(answer, 500)
        assert "secret" not in text
        assert "secret" in caplog.text
        monkeypatch.undo()
        assert client.post("/predict", files=files(png(picture()))).status_code == 200


def test_health_notices_a_thread_that_has_ended(predictor):
    with TestClient(create_app(predictor, None, LIMITS)) as client:
        client.app.state.service.worker.close()
        answer = client.get("/healthz")
        assert "has ended" in refused(answer, 503, "/healthz")
        answer = client.post("/predict", files=files(png(picture())))
        assert "has ended" in refused(answer, 503)


def test_any_bytes_get_an_answer(client):
    """Images with bytes changed at random are predicted or refused, never an error."""
    random = np.random.default_rng(0)
    for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"):
        content = np.frombuffer(png(picture(), kind), np.uint8).copy()
        for _ in range(15):
            some = content.copy()
            places = random.integers(0, len(some), 4)
            some[places] = random.integers(0, 256, 4)
            some = some[: random.integers(1, len(some) + 1)]
            answer = client.post("/predict", files=files(some.tobytes()))
            assert answer.status_code in (200, 422)
            check(answer, "/predict")
