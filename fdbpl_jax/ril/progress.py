"""Progress of a build: a bar on a terminal, a log line now and then elsewhere."""

import sys
import time
from types import TracebackType

from absl import logging
from tqdm import tqdm

_LOG_SECONDS = 10.0


class Progress:
    """Counter of regions with regions/s and the time to finish; a context manager."""

    def __init__(self, title: str, total: int) -> None:
        self._title, self._total, self._done = title, total, 0
        self._start = self._logged = time.monotonic()
        on_terminal = sys.stderr.isatty()
        self._bar = (
            tqdm(total=total, desc=title, unit="region", smoothing=0.1)
            if on_terminal
            else None
        )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def update(self, regions: int) -> None:
        """Count `regions` more."""
        self._done += regions
        if self._bar is not None:
            self._bar.update(regions)
            return
        now = time.monotonic()
        if now - self._logged >= _LOG_SECONDS:
            self._logged = now
            rate = self._done / (now - self._start)
            logging.info(
                "%s: %d of %d regions, %.0f regions/s, %.0f s to finish",
                *(self._title, self._done, self._total, rate),
                (self._total - self._done) / rate,
            )
