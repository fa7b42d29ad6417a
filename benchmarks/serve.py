"""Load of a service on loopback: rate, latency, and memory from first to last request.

  python -m benchmarks.serve CLASSIFIER IMAGES --requests=2000 --clients=8

Clients in threads send the images of a folder one by one, each over a connection of its
own; one in twenty is broken. The service is a process of its own on the same machine.
"""

import contextlib
import http.client
import itertools
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from fdbpl_jax.classifier.pictures import named_images
from fdbpl_jax.cli import run_app, show, value_flag
from fdbpl_jax.config import Count
from fdbpl_jax.errors import UserError

_REQUESTS = value_flag("requests", 2000, Count, "All together.")
_CLIENTS = value_flag("clients", 8, Count, "That ask at the same time.")
_BROKEN = 20  # every so many requests bring a broken image


class Answer(NamedTuple):
    """An answer, with the state of the service after it."""

    broken: bool  # whether the image was
    status: int
    seconds: float
    mebibytes: float  # resident memory of the service
    body: bytes


class Service(NamedTuple):
    """A service that runs."""

    process: subprocess.Popen
    host: str
    port: int


@contextlib.contextmanager
def served(classifier: str, *flags: str) -> Iterator[Service]:
    """Run `fdbpl serve` on a free port until the block ends."""
    command = [sys.executable, "-m", "fdbpl_jax.serve", classifier, "--port=0", *flags]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = process.stderr.readline() if process.stderr else ""
            if " ready at http://" not in line:
                raise UserError(f"the service does not start: {line.strip()}")
            host, _, port = line.split("//")[1].strip("/\n").rpartition(":")
            yield Service(process, host, int(port))
        finally:
            process.terminate()


def load(
    service: Service, images: Sequence[bytes], requests: int, clients: int
) -> list[Answer]:
    """Send requests from several clients; the answers, in the order of the requests."""

    def client(first: int) -> list[Answer]:
        connection = http.client.HTTPConnection(service.host, service.port, timeout=60)
        with contextlib.closing(connection):
            return [
                _ask(service, connection, images[n % len(images)], n % _BROKEN == 0)
                for n in range(first, requests, clients)
            ]

    with ThreadPoolExecutor(clients) as pool:
        by_client = list(pool.map(client, range(clients)))
    in_order = itertools.chain.from_iterable(itertools.zip_longest(*by_client))
    return [answer for answer in in_order if answer]


def _ask(
    service: Service, connection: http.client.HTTPConnection, image: bytes, broken: bool
) -> Answer:
    content = image[: len(image) // 3] if broken else image
    head = b'--x\r\ncontent-disposition: form-data; name="image"; filename="a"\r\n\r\n'
    body = head + content + b"\r\n--x--\r\n"
    start = time.perf_counter()
    kind = {"content-type": "multipart/form-data; boundary=x"}
    connection.request("POST", "/predict", body, kind)
    answer = connection.getresponse()
    said = answer.read()
    seconds = time.perf_counter() - start
    return Answer(broken, answer.status, seconds, _memory(service), said)


def _memory(service: Service) -> float:
    pages = Path(f"/proc/{service.process.pid}/statm").read_text().split()[1]
    return int(pages) * 4096 / 2**20


def _command(words: Sequence[str]) -> None:
    if len(words) != 2:
        raise UserError(f"{len(words)} words are given", "Give a classifier, a folder.")
    images = [Path(path).read_bytes() for path in named_images(words[1:])]
    requests, clients = _REQUESTS.value, _CLIENTS.value
    with served(words[0]) as service:
        start = time.perf_counter()
        answers = load(service, images, requests, clients)
        seconds = time.perf_counter() - start
    times = [1000 * answer.seconds for answer in answers if not answer.broken]
    cuts = statistics.quantiles(times, n=100)
    wrong = [a for a in answers if a.status != (422 if a.broken else 200)]
    show(
        f"{requests} requests of {clients} clients in {seconds:.1f} s, "
        f"{requests / seconds:.0f} per second; {len(wrong)} not as expected\n"
        f"milliseconds: median {cuts[49]:.0f}, 95 % {cuts[94]:.0f}, 99 % "
        f"{cuts[98]:.0f}, longest {max(times):.0f}"
    )
    quarter = max(1, requests // 4)
    for n in range(0, requests, quarter):
        most = max(answer.mebibytes for answer in answers[n : n + quarter])
        show(f"memory of requests {n} to {min(n + quarter, requests)}: {most:.0f} MiB")


if __name__ == "__main__":
    words: list[str] = []
    run_app(lambda: _command(words), words=words)
