"""Progress of long work: a bar on a terminal, a log line now and then elsewhere."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from absl import logging
from tqdm import tqdm

_LOG_SECONDS = 10.0


@contextlib.contextmanager
def progress(title: str, total: int, unit: str) -> Iterator[Callable[[int], object]]:
    """Show the rate and the time to finish; yield a function that counts units."""
    if not sys.stderr.isatty():
        yield _logger(title, total, unit)
        return
    with tqdm(total=total, desc=title, unit=unit, smoothing=0.1) as bar:
        yield bar.update


def _logger(title: str, total: int, unit: str) -> Callable[[int], None]:
    start = logged = time.monotonic()
    done = 0

    def update(count: int) -> None:
        nonlocal done, logged
        done += count
        now = time.monotonic()
        if now - logged < _LOG_SECONDS:
            return
        logged, rate = now, done / (now - start)
        logging.info(
            f"%s: %d of %d {unit}s, %.{int(rate < 10)}f {unit}s/s, %.0f s to finish",
            *(title, done, total, rate, (total - done) / rate),
        )

    return update
