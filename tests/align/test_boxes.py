from arcface_mxnet.align.boxes import NMS_BLOCK, overlaps, refine, square, suppress
import numpy as np
import pytest


def plain_overlap(a, b, by_smaller):
    width = max(min(a[2], b[2]) - max(a[0], b[0]) + 1, 0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]) + 1, 0)
    area = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b)]
    shared = width * height
    return shared / (min(area) if by_smaller else area[0] + area[1] - shared)


def plain_suppress(boxes, scores, threshold, by_smaller):
    kept = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if all(plain_overlap(boxes[i], boxes[j], by_smaller) <= threshold for j in kept):
            kept.append(i)
    return kept


def some_boxes(count, seed=2, spread=60):
    rng = np.random.default_rng(seed)
    low = rng.integers(0, spread, (count, 2))
    return np.hstack([low, low + rng.integers(0, 40, (count, 2))]).astype(float), rng.random(count)


@pytest.mark.parametrize("by_smaller", [False, True])
@pytest.mark.parametrize("count", [1, 30, NMS_BLOCK + 90])
def test_suppress_equals_the_plain_loop(count, by_smaller):
    boxes, scores = some_boxes(count, spread=300)
    expected = plain_suppress(boxes, scores, 0.4, by_smaller)
    assert suppress(boxes, scores, 0.4, by_smaller=by_smaller).tolist() == expected


def test_the_most_are_the_first_of_all():
    boxes, scores = some_boxes(900, spread=300)
    every = suppress(boxes, scores, 0.4)
    assert len(every) > 2 * NMS_BLOCK / 4
    for most in (0, 1, 7, len(every) - 1, len(every), len(every) + 1):
        assert suppress(boxes, scores, 0.4, most=most).tolist() == every[:most].tolist()


def test_suppress_nothing():
    assert suppress(np.zeros((0, 4)), np.zeros(0), 0.5).tolist() == []


def test_overlaps_of_known_boxes():
    first, second = np.array([[0, 0, 9, 9]]), np.array([[0, 0, 4, 9], [10, 0, 19, 9], [0, 0, 9, 9]])
    assert overlaps(first, second).tolist() == [[0.5, 0, 1]]
    assert overlaps(first, second, by_smaller=True).tolist() == [[1, 0, 1]]


def test_refine_moves_corners_in_sides_of_the_box():
    moved = refine(np.array([[10.0, 20, 19, 39]]), np.array([[0.1, 0.5, -0.2, 0]]))
    assert moved.tolist() == [[11, 30, 17, 39]]


def test_square_keeps_the_centre_and_the_longer_side():
    assert square(np.array([[10.0, 0, 19, 39]])).tolist() == [[-5, 0, 34, 39]]
