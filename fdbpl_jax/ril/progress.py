"""Progress of a build: a bar on a terminal, a log line now and then elsewhere."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from absl import logging
from tqdm import tqdm

_LOG_SECONDS = 10.0


@contextlib.contextmanager
def progress(title: str, total: int) -> Iterator[Callable[[int], object]]:
    """Show regions/s and the time to finish; yield a function that counts regions."""
    if not sys.stderr.isatty():
        yield _logger(title, total)
        return
    with tqdm(total=total, desc=title, unit="region", smoothing=0.1) as bar:
        yield bar.update


def _logger(title: str, total: int) -> Callable[[int], None]:
    start = logged = time.monotonic()
    done = 0

    def update(regions: int) -> None:
        nonlocal done, logged
        done += regions
        now = time.monotonic()
        if now - logged < _LOG_SECONDS:
            return
        logged, rate = now, done / (now - start)
        logging.info(
            "%s: %d of %d regions, %.0f regions/s, %.0f s to finish",
            *(title, done, total, rate, (total - done) / rate),
        )

    return update
