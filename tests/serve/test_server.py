"""The command: its port, its limits, and its end."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.serving import picture, png, running

from fdbpl_jax.errors import UserError
from fdbpl_jax.serve.app import create_app
from fdbpl_jax.serve.server import listen
from fdbpl_jax.serve.upload import Limits

ROOT = Path(__file__).resolve().parents[2]
WITHOUT = "import sys; sys.modules[{!r}] = None; sys.argv[1:] = ['serve', 'mine']\n"
PROGRAM = "from fdbpl_jax.cli import program; program()"
# Its model takes a second more for each batch, so a signal comes while it works.
SLOW = """
import time
from fdbpl_jax.serve import predictor
quick = predictor.Predictor.predict
def slow(*args):
    time.sleep(1)
    return quick(*args)
predictor.Predictor.predict = slow
"""


def begin(code: str, *words: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", code + PROGRAM, *words],
        env=os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen) -> str:
    try:
        _, errors = process.communicate(timeout=120)
    finally:
        process.kill()
    return errors


def test_a_port_in_use_is_one_line(capsys):
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} of '127.0.0.1' is in use"):
            listen("127.0.0.1", port)
        done = begin("", "serve", "nothing", f"--port={port}")
        errors = end(done)
    assert done.returncode == 2
    assert errors == (
        f"error: port {port} of '127.0.0.1' is in use. Give another --port, or 0.\n"
    )


def test_only_loopback_listens_unless_told_otherwise():
    with listen("127.0.0.1", 0) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"
        # Or an answer would wait 40 ms for the client to confirm its head.
        assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    for host in ("", "nowhere.invalid", "203.0.113.1", "a\0b", "a" * 100):
        with pytest.raises(UserError, match="cannot be served"):
            listen(host, 0)
    if socket.has_ipv6:
        with listen("::1", 0) as listener:
            assert listener.getsockname()[0] == "::1"


@pytest.mark.parametrize(
    "library",
    ["python_multipart", pytest.param("uvicorn", marks=pytest.mark.slow)],
)
def test_without_the_extra_a_line_says_what_to_install(library):
    done = begin(WITHOUT.format(library))
    errors = end(done)
    assert done.returncode == 2
    assert errors == (
        f"error: '{library}' is not installed, and the service needs it. Install it "
        "by `pip install 'fdbpl-jax[serve]'`.\n"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(("serve",), "0 classifiers are", marks=pytest.mark.slow),
        pytest.param(
            ("serve", "nothing", "--port=0"), "'nothing'", marks=pytest.mark.slow
        ),
        pytest.param(("serve", "a", "b"), "2 classifiers", marks=pytest.mark.slow),
        pytest.param(
            ("serve", "nothing", "--port=70000"), "port", marks=pytest.mark.slow
        ),
        pytest.param(
            ("serve", "nothing", "--max_seconds=nan"),
            "max_seconds",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_cannot_be_is_one_line(words, message):
    done = begin("", *words)
    errors = end(done)
    assert done.returncode == 2
    assert message in errors
    assert errors.count("\n") == 1


def hear(port: int, sent: bytes) -> bytes:
    """All that is answered until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(sent)
        parts = []
        while part := connection.recv(1 << 16):
            parts.append(part)
        return b"".join(parts)


POST = b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"


def test_what_is_no_request_or_does_not_end_is_closed(predictor, caplog):
    limits = Limits(seconds=1.0)
    with running(create_app(predictor, None, limits), limits) as port:
        cases = {
            b"\0\xff\r\n\r\n": b" 400 ",
            b"GET / HTTP/1.1\r\nx: " + b"a" * 100_000 + b"\r\n\r\n": b" 400 ",
            POST + b"content-length: -1\r\n\r\n": b" 400 ",
            POST + b"content-length: 9\r\n\r\n{": b" 408 ",
            POST + b"transfer-encoding: chunked\r\n\r\nzz\r\n": b" 400 ",
            POST: b"",  # its head does not end
            b"": b"",
        }
        with ThreadPoolExecutor(len(cases)) as pool:
            answers = pool.map(lambda sent: hear(port, sent), cases)
            for (sent, status), answer in zip(cases.items(), answers, strict=True):
                first = answer.partition(b"\r\n")[0]
                assert status in first, (sent[:50], answer)
                assert bool(status) == bool(first)
        assert ask(f"http://127.0.0.1:{port}/")["predictions"]
    assert not caplog.records


def ask(address: str) -> dict:
    content = png(picture())
    body = b"\r\n".join(
        [
            b"--x",
            b'content-disposition: form-data; name="image"; filename="a.png"',
            *(b"", content, b"--x--", b""),
        ]
    )
    kind = {"content-type": "multipart/form-data; boundary=x"}
    request = urllib.request.Request(f"{address}predict", body, kind)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGTERM,
        pytest.param(signal.SIGINT, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, marks=pytest.mark.slow),
    ],
)
def test_a_signal_ends_it_after_the_requests_that_have_begun(folder, number):
    process = begin(SLOW, "serve", str(folder), "--port=0", "--batch_size=1")
    try:
        line = process.stderr.readline()
        address = line.split(" ready at ")[1].strip()
        assert address.startswith("http://127.0.0.1:")
        answers = []
        thread = threading.Thread(target=lambda: answers.append(ask(address)))
        thread.start()
        while not json.load(urllib.request.urlopen(f"{address}healthz"))["waiting"]:
            time.sleep(0.01)
        process.send_signal(number)
        thread.join(60)
        assert len(answers[0]["predictions"]) == 1
        errors = end(process)
    finally:
        process.kill()
    assert process.returncode == 128 + number
    assert errors == f"stopped by {number.name}: run the same command again to go on\n"
