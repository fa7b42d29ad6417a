import numpy as np

from benchmarks import problem as given


def test_names_are_as_long_as_imagenets():
    lengths = given.name_lengths(1000, seed=0)
    found = dict(zip(*np.unique(lengths, return_counts=True), strict=True))
    assert found == given.NAME_LENGTHS
    few = given.name_lengths(50, seed=0)
    assert len(few) == 50
    assert (few.min(), np.median(few), few.max()) == (1, 2, 6)
