"""Tiles and batches of few sizes, and nothing of a tile's result changes."""

from arcface_mxnet.align import mtcnn
from arcface_mxnet.align.mtcnn import STRIDE, TILE, WINDOW, MtcnnDetector
from arcface_mxnet.align.shapes import SIDES, enlarged, filled_up
import numpy as np
import pytest


def test_few_sizes_come_out_and_the_tile_lies_at_the_lower_right():
    rng = np.random.default_rng(0)
    sizes = set()
    for side in range(WINDOW, TILE + 1):
        tile = rng.integers(1, 256, (side, TILE + WINDOW - side, 3), dtype=np.uint8)
        larger, (top, left) = enlarged(tile)
        assert top % 2 == left % 2 == 0
        np.testing.assert_array_equal(larger[top:, left:], tile)
        assert not larger[:top].any() and not larger[:, :left].any()
        sizes.update(larger.shape[:2])
    assert sizes <= {*SIDES, *(side + 1 for side in SIDES)}
    with pytest.raises(ValueError, match="a side of 300 pixels"):
        enlarged(np.zeros((300, 20, 3), np.uint8))


def test_batches_grow_to_powers_of_two():
    for rows in range(1, 130):
        batch = np.ones((rows, 3), np.float32)
        filled = filled_up(batch)
        assert len(filled) & (len(filled) - 1) == 0 and rows <= len(filled) < 2 * rows
        np.testing.assert_array_equal(filled[:rows], batch)
        assert not filled[rows:].any()


@pytest.mark.parametrize("engine", ["onnxruntime", "mxnet"])
def test_the_cells_of_a_tile_are_those_it_has_by_itself(models, engine):
    detector = MtcnnDetector(model_dir=models / "mtcnn", engine=engine)
    rng = np.random.default_rng(1)
    for shape in ((12, 12), (13, 30), (45, 31), (100, 81), (33, 64), (17, 256)):
        tile = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
        alone = detector._pnet.run(mtcnn.normalised([tile]))
        larger, (top, left) = enlarged(tile)
        within = detector._pnet.run(mtcnn.normalised([larger]))
        for expected, found in zip(alone, within, strict=True):
            found = found[:, :, top // STRIDE :, left // STRIDE :]
            assert found.shape == expected.shape
            assert np.abs(found - expected).max() < 1e-5
