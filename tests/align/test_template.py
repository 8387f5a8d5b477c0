from arcface_mxnet.align.template import crop_size, template
import numpy as np
import pytest


def test_published_points_of_both_sizes():
    narrow, square = template((112, 96)), template((112, 112))
    assert narrow[0].tolist() == [30.2946, 51.6963]
    assert square[:, 0] == pytest.approx([38.2946, 73.5318, 56.0252, 41.5493, 70.7299])
    assert np.array_equal(narrow[:, 1], square[:, 1])


def test_another_size_is_refused():
    with pytest.raises(ValueError, match=r"crop size \(96, 112\).*112,112 and 112,96"):
        template((96, 112))


def test_each_caller_gets_its_own_points():
    template()[:] = 0
    assert template().min() > 30


def test_sizes_as_they_are_typed():
    assert crop_size("112,96") == (112, 96)
    for text in ("112", "112x112", "a,b", "1,2,3"):
        with pytest.raises(ValueError, match="give HEIGHT,WIDTH"):
            crop_size(text)
    with pytest.raises(ValueError, match=r"crop size \(96, 112\)"):
        crop_size("96,112")
