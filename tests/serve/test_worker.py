"""Batches are made of what waits, in order, and what is cancelled is left out."""

import threading
import time

import numpy as np
import pytest
from support.serving import BATCH, picture

from fdbpl_jax.classifier.classifier import Prediction
from fdbpl_jax.errors import UserError
from fdbpl_jax.serve.predictor import Predictor
from fdbpl_jax.serve.worker import Worker

NAMES = ("a cat", "a dog")
SAID = Prediction(("a", "b", "c"), (0.5, 0.3, 0.2), 1.5)


def image(number: int) -> np.ndarray:
    return np.full((1, 1, 3), number, np.uint8)


class Recorder(Predictor):
    """Stands for a predictor, and records the images, names and `top` of batches."""

    sizes = (1, BATCH)

    def __init__(self):
        self.batches, self.fault = [], None

    def predict(self, images, names, top):
        numbers = [int(pixels[0, 0, 0]) for pixels in images]
        self.batches.append((numbers, list(names), top))
        if self.fault:
            raise self.fault
        return [
            UserError("no such names") if some == ("refused",) else SAID
            for some in names
        ]


@pytest.fixture(name="recorder")
def _recorder():
    return Recorder()


@pytest.fixture(name="worker")
def _worker(recorder):
    worker = Worker(recorder)
    yield worker
    worker.close()
    assert not worker.is_alive


@pytest.fixture(name="free")
def _free(worker):
    """Until it is set the thread is busy, so requests wait."""
    free, begun = threading.Event(), threading.Event()
    worker.call(lambda: (begun.set(), free.wait(60)))
    begun.wait(60)
    return free


def test_what_waits_is_one_batch_up_to_its_size(worker, recorder, free):
    lists = [(), NAMES] * (BATCH // 2 + 1)
    futures = [worker.predict(image(n), some, 2) for n, some in enumerate(lists)]
    free.set()
    assert {future.result(60).labels for future in futures} == {("a", "b")}
    first = (list(range(BATCH)), [(), NAMES] * (BATCH // 2), 2)
    assert recorder.batches == [first, ([BATCH, BATCH + 1], [(), NAMES], 2)]


def test_each_gets_as_many_classes_as_it_asked_for(worker, recorder, free):
    futures = [worker.predict(image(n), (), n + 1) for n in range(3)]
    free.set()
    assert [len(future.result(60).labels) for future in futures] == [1, 2, 3]
    assert futures[0].result() == Prediction(("a",), (0.5,), 1.5)
    assert recorder.batches[0][2] == 3


def test_what_is_cancelled_is_not_computed(worker, recorder, free):
    futures = [worker.predict(image(n), (), 1) for n in range(3)]
    assert futures[1].cancel()
    free.set()
    futures[2].result(60)
    assert [batch[0] for batch in recorder.batches] == [[0, 2]]


def test_calls_keep_their_turn(worker, recorder, free):
    order = []
    futures = [
        worker.predict(image(0), (), 1),
        worker.call(lambda: order.append(len(recorder.batches))),
        worker.predict(image(1), (), 1),
    ]
    free.set()
    for future in futures:
        future.result(60)
    assert order == [1]
    assert [batch[0] for batch in recorder.batches] == [[0], [1]]


def test_refused_names_are_the_error_of_their_image(worker, free):
    lists = ("refused",), ()
    futures = [worker.predict(image(n), some, 1) for n, some in enumerate(lists)]
    free.set()
    with pytest.raises(UserError, match="no such names"):
        futures[0].result(60)
    assert futures[1].result(60).labels == ("a",)


def test_a_failed_batch_does_not_end_the_thread(worker, recorder, caplog):
    recorder.fault = ValueError("a bug")
    with pytest.raises(ValueError, match="a bug"):
        worker.predict(image(0), (), 1).result(60)
    assert "a batch of 1 failed" in caplog.text
    recorder.fault = None
    assert worker.predict(image(0), (), 1).result(60).labels == ("a",)
    with pytest.raises(ZeroDivisionError):
        worker.call(lambda: 1 // 0).result(60)
    assert worker.is_alive


def test_what_waits_is_answered_before_the_end(recorder):
    worker = Worker(recorder)
    free = threading.Event()
    worker.call(lambda: free.wait(60))
    futures = [worker.predict(image(n), (), 1) for n in range(BATCH + 1)]
    ending = threading.Thread(target=worker.close)
    ending.start()
    time.sleep(0.05)
    free.set()
    ending.join(60)
    assert all(future.done() for future in futures)
    assert not worker.is_alive


def test_requests_share_batches_of_the_real_predictor(predictor, monkeypatch):
    sizes = []

    def predict(images, names, top):
        sizes.append(len(images))
        return real(images, names, top)

    real = predictor.predict
    monkeypatch.setattr(predictor, "predict", predict)
    worker, free = Worker(predictor), threading.Event()
    worker.call(lambda: free.wait(60))
    pixels = [predictor.prepare(picture(seed)) for seed in range(6)]
    futures = [worker.predict(some, (), 4) for some in pixels]
    free.set()
    together = [future.result(60) for future in futures]
    assert sizes == [4, 2]
    alone = [worker.predict(some, (), 4).result(60) for some in pixels]
    assert sizes[2:] == [1] * 6
    for one, other in zip(together, alone, strict=True):
        assert one.labels == other.labels
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)
    worker.close()
