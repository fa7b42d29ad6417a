"""A load of 2,000 requests, one in twenty broken: all answered, memory flat."""

import pytest
from support.serving import picture, png

from benchmarks.serve import load, served
from fdbpl_jax.shapes import embedded

REQUESTS = 2000


@pytest.mark.slow
def test_memory_is_flat_and_every_answer_is_as_expected(folder):
    images = [png(picture(seed, (320, 240)), "JPEG") for seed in range(20)]
    with served(str(folder), f"--teacher={embedded('teacher')}") as service:
        answers = load(service, images, REQUESTS, 8)
    assert len(answers) == REQUESTS
    assert [a.status for a in answers] == [422 if a.broken else 200 for a in answers]
    assert sum(answer.broken for answer in answers) == REQUESTS // 20
    # An image gets the same answer in every batch, but for rounding.
    labels = {n: set() for n in range(len(images))}
    for n, answer in enumerate(answers):
        if not answer.broken:
            labels[n % len(images)].add(answer.body.partition(b"probabilities")[0])
    assert all(len(some) == 1 for n, some in labels.items() if n)
    early = max(answer.mebibytes for answer in answers[300:600])
    late = max(answer.mebibytes for answer in answers[-300:])
    assert late < early + 10
