"""The thread that runs the models: requests queue, and batches are made of what waits.

Only this thread computes, so requests share one batch instead of the processors.
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NamedTuple

import numpy as np
from absl import logging
from jaxtyping import UInt8

from fdbpl_jax.classifier.classifier import Prediction
from fdbpl_jax.errors import UserError
from fdbpl_jax.serve.predictor import Names, Predictor


class _Image(NamedTuple):
    """An image that waits for its prediction."""

    pixels: UInt8[np.ndarray, "S S 3"]
    names: Names
    top: int
    result: "Future[Prediction]"


class _Call(NamedTuple):
    """Something else that runs a model."""

    function: Callable[[], Any]
    result: "Future[Any]"


class Worker:
    """A queue and its thread. What is cancelled before its turn is left out."""

    def __init__(self, predictor: Predictor) -> None:
        """Start the thread."""
        self.predictor = predictor
        self._queue: queue.SimpleQueue[_Image | _Call | None] = queue.SimpleQueue()
        self._next: _Call | None = None  # taken from the queue while a batch was made
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def predict(
        self, pixels: UInt8[np.ndarray, "S S 3"], names: Names, top: int
    ) -> "Future[Prediction]":
        """Classify an image when its turn comes, see `Predictor.predict`."""
        result: Future[Prediction] = Future()
        self._queue.put(_Image(pixels, names, top, result))
        return result

    def call(self, function: Callable[[], Any]) -> "Future[Any]":
        """Call a function in the thread."""
        result: Future[Any] = Future()
        self._queue.put(_Call(function, result))
        return result

    def close(self) -> None:
        """End the thread after what waits."""
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        while first := self._take():
            if isinstance(first, _Call):
                _finish([first.result], lambda call=first: [call.function()])
            else:
                self._predict(self._batch(first))

    def _take(self) -> _Image | _Call | None:
        item, self._next = self._next, None
        return item or self._queue.get()

    def _batch(self, first: _Image) -> list[_Image]:
        """What waits, up to the largest batch."""
        batch = [first]
        while len(batch) < self.predictor.sizes[-1] and not self._queue.empty():
            item = self._queue.get()
            if isinstance(item, _Image):
                batch.append(item)
                continue
            if item is None:  # the end, after this batch
                self._queue.put(None)
            self._next = item
            break
        return batch

    def _predict(self, batch: list[_Image]) -> None:
        batch = [image for image in batch if not image.result.cancelled()]
        if not batch:
            return

        def predictions() -> list[Prediction | UserError]:
            pixels = [image.pixels for image in batch]
            names = [image.names for image in batch]
            most = max(image.top for image in batch)
            results = self.predictor.predict(pixels, names, most)
            return [
                _first(result, image.top)
                for result, image in zip(results, batch, strict=True)
            ]

        _finish([image.result for image in batch], predictions)


def _first(result: Prediction | UserError, top: int) -> Prediction | UserError:
    if isinstance(result, UserError):
        return result
    labels, probabilities, rejection = result
    return Prediction(labels[:top], probabilities[:top], rejection)


def _finish(futures: list["Future[Any]"], compute: Callable[[], list[Any]]) -> None:
    """Give futures their results; an error of one is its own, a raised one is all's."""
    running = [future.set_running_or_notify_cancel() for future in futures]
    if not any(running):
        return
    try:
        results = compute()
    except Exception as error:  # the thread must go on
        if not isinstance(error, UserError):
            logging.exception("a batch of %d failed", len(futures))
        results = [error] * len(futures)
    for future, is_running, result in zip(futures, running, results, strict=True):
        if is_running and isinstance(result, Exception):
            future.set_exception(result)
        elif is_running:
            future.set_result(result)
