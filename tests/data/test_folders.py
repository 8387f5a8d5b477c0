from arcface_mxnet.data.folders import find_images, folder_images
import pytest


def test_find_images_is_sorted_and_leaves_out_hidden_and_other_files(tmp_path):
    (tmp_path / "b/folder.png").mkdir(parents=True)
    for name in ("b/2.JPG", "b/1.png", "a/x.txt", ".thumbs/3.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [p.relative_to(tmp_path).as_posix() for p in find_images(tmp_path)] == [
        "b/1.png",
        "b/2.JPG",
    ]
    with pytest.raises(ValueError, match="no image below"):
        find_images(tmp_path / "a")
    with pytest.raises(FileNotFoundError, match="no folder"):
        find_images(tmp_path / "absent")


def test_every_ending_is_found_in_both_ways(tmp_path):
    endings = [".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm", ".JPG"]
    (tmp_path / "ann").mkdir()
    names = [f"{number}{ending}" for number, ending in enumerate(endings)]
    for name in (*names, "list.txt", "noending"):
        (tmp_path / "ann" / name).touch()
    assert [path.name for path in find_images(tmp_path)] == names
    assert [(one, path.name) for one, path in folder_images(tmp_path)] == [
        ("ann", name) for name in names
    ]
