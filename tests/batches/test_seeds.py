"""The seeds of a batch's images against NumPy's own, one by one."""

from arcface_mxnet.batches.seeds import generator, seeds
import numpy as np
import pytest


@pytest.mark.parametrize("words", [
    (0, 0, 0), (1, 1, 0), (2**31 - 1, 1, 123456), (2**32 - 1, 2**32 - 1, 2**32 - 1),
])  # fmt: skip
def test_each_is_that_of_default_rng(words):
    places = np.array([0, 1, 2, 127, 128, 4095, 2**31, 2**32 - 1])
    found = seeds(words, places)
    assert found.dtype == np.uint64
    for row, place in zip(found, places.tolist(), strict=True):
        numpys = np.random.default_rng([*words, place])
        assert row.tolist() == numpys.bit_generator.seed_seq.generate_state(4, "u8").tolist()
        assert generator(row).bit_generator.state == numpys.bit_generator.state


def test_no_place_has_no_seed():
    assert seeds((1, 2, 3), np.arange(0)).shape == (0, 4)
