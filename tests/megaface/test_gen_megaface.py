"""Feature generation with a network of numpy: files, stores, shards, resuming, bad images."""

import json

from arcface_mxnet.megaface import convert, gen_megaface
from arcface_mxnet.megaface.features import read_feature
from arcface_mxnet.megaface.packed import FeatureStore
import cv2
import numpy as np
import pytest

SEEN: list[int] = []


class MeanColours:
    """Embeds a crop as its mean colour of every quarter, flip sum, unit length."""

    def __init__(self, arguments, model):
        self.power = 2 if model == "b,0" else 1

    def __call__(self, rgb_nhwc):
        SEEN.append(len(rgb_nhwc))
        n, h, w, _ = rgb_nhwc.shape
        cells = rgb_nhwc.reshape(n, 2, h // 2, 2, w // 2, 3).mean(axis=(2, 4), dtype=np.float64)
        plain = (cells + 1) ** self.power
        both = (plain + plain[:, :, ::-1]).reshape(n, -1)
        return (both / np.linalg.norm(both, axis=1, keepdims=True)).astype(np.float32)


def facts(arguments, model):
    return {
        "model": f"print of {model}",
        "engine": arguments.engine,
        "dtype": arguments.dtype,
    }


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Images of 8x8 pixels, lists, and a network that needs no MXNet."""
    monkeypatch.setattr(gen_megaface, "open_embedder", MeanColours)
    monkeypatch.setattr(gen_megaface, "embedding_facts", facts)
    rng = np.random.default_rng(0)
    for name, paths in (
        ("facescrub", ["A/A_1.png", "A/A_2.png"]),
        ("megaface", [f"{i}/x@N00/{i}_0.png" for i in range(21)]),
    ):
        for path in paths:
            image = tmp_path / f"{name}_images" / path
            image.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(image), rng.integers(0, 256, (8, 8, 3)).astype(np.uint8))
        (tmp_path / f"{name}_lst").write_text("".join(f"{path}\n" for path in paths))
    SEEN.clear()
    return tmp_path


def command(data, *more, model="a,0"):
    places = []
    for name in ("facescrub", "megaface"):
        places.append(f"--{name}-lst={data / name}_lst")
        places.append(f"--{name}-root={data / name}_images")
    return [
        "--model", model, "--algo", "x", "--image_size", "3,8,8", "--batch_size", "1",
        "--output", str(data / "out"), "--gpu", "-1", *places, *more,
    ]  # fmt: skip


def expected(data, path, model="a,0"):
    rgb = cv2.imread(str(data / path))[None, :, :, ::-1]
    return MeanColours(None, model)(rgb)[0]


def test_files_in_the_published_layout(data):
    assert gen_megaface.main(command(data)) == 0
    files = sorted(p.relative_to(data / "out").as_posix() for p in (data / "out").rglob("*.bin"))
    assert len(files) == 23 and files[0] == "facescrub/A/A_1.png_x.bin"
    assert "megaface/3/x@N00/3_0.png_x.bin" in files
    vector = read_feature(data / "out" / "megaface/3/x@N00/3_0.png_x.bin")
    assert np.allclose(vector, expected(data, "megaface_images/3/x@N00/3_0.png"), atol=1e-6)


def test_several_models_are_joined_and_of_unit_length(data):
    assert gen_megaface.main(command(data, model="a,0|b,0")) == 0
    vector = read_feature(data / "out/facescrub/A/A_1.png_x.bin")
    parts = [expected(data, "facescrub_images/A/A_1.png", model) for model in ("a,0", "b,0")]
    assert np.allclose(vector, np.concatenate(parts) / np.sqrt(2), atol=1e-6)


def test_started_again_only_the_rest_is_done(data):
    assert gen_megaface.main(command(data)) == 0
    gone = data / "out" / "megaface/7/x@N00/7_0.png_x.bin"
    before = gone.read_bytes()
    gone.write_bytes(before[:20])
    SEEN.clear()
    assert gen_megaface.main(command(data)) == 0
    assert SEEN == [1] and gone.read_bytes() == before


def test_a_store_goes_on_after_a_kill(data, monkeypatch):
    class Killed(MeanColours):
        def __call__(self, rgb_nhwc):
            if sum(SEEN) > 10:
                raise KeyboardInterrupt
            return super().__call__(rgb_nhwc)

    monkeypatch.setattr(gen_megaface, "open_embedder", Killed)
    assert gen_megaface.main(command(data, "--store", "float32")) == 130
    assert not (data / "out" / "megaface_x.npy").exists()
    monkeypatch.setattr(gen_megaface, "open_embedder", MeanColours)
    SEEN.clear()
    assert gen_megaface.main(command(data, "--store", "float32")) == 0
    assert sum(SEEN) == 1 + 21 - 8  # one to learn the dimension, and what was not written
    store = FeatureStore(data / "out" / "megaface_x.npy")
    for row in (0, 8, 20):
        image = f"megaface_images/{store.names[row]}"
        assert np.allclose(store.read(np.array([row]))[0], expected(data, image), atol=1e-6)


def test_shards_make_the_whole(data):
    for part in ("1/2", "2/2"):
        assert gen_megaface.main(command(data, "--store", "float16", "--shard", part)) == 0
    out = data / "out"
    parts = [str(out / f"megaface_x.{part}-of-2.npy") for part in (1, 2)]
    assert convert.main(["merge", str(out / "merged.npy"), *parts]) == 0
    assert gen_megaface.main(command(data, "--store", "float16")) == 0
    assert (out / "merged.npy").read_bytes() == (out / "megaface_x.npy").read_bytes()


def test_bad_images_are_listed_and_the_others_done(data, capsys):
    root = data / "megaface_images"
    (root / "3/x@N00/3_0.png").write_bytes(b"no image")
    (root / "4/x@N00/4_0.png").unlink()
    cv2.imwrite(str(root / "5/x@N00/5_0.png"), np.zeros((9, 8, 3), np.uint8))
    assert gen_megaface.main(command(data)) == 1
    assert "megaface: 3 of 21 images failed" in capsys.readouterr().out
    listed = (data / "out" / "megaface_x_failed.tsv").read_text()
    assert "3/x@N00/3_0.png\t" in listed and "is 9x8 (height x width); align it first" in listed
    assert len(list((data / "out" / "megaface").rglob("*.bin"))) == 18
    assert gen_megaface.main(command(data, "--store", "float32")) == 2
    told = capsys.readouterr().err
    assert "megaface_lst: 2 of 21 images are missing or none" in told
    assert "3_0.png: no image" in told and "4_0.png: missing" in told
    assert "delete megaface_x.npy.partial" in told
    for name in (3, 4, 5):
        cv2.imwrite(str(root / f"{name}/x@N00/{name}_0.png"), np.zeros((8, 8, 3), np.uint8))
    assert gen_megaface.main(command(data)) == 0
    assert not (data / "out" / "megaface_x_failed.tsv").exists()


def test_shards_list_their_failures_apart(data):
    for path in (data / "megaface_images").rglob("*.png"):
        path.write_bytes(b"no image")
    for part in ("1/2", "2/2"):
        assert gen_megaface.main(command(data, "--shard", part)) == 1
    parts = [data / "out" / f"megaface_x.{part}-of-2_failed.tsv" for part in (1, 2)]
    assert [len(part.read_text().splitlines()) for part in parts] == [10, 11]


def test_a_store_of_another_list_or_type_is_not_taken_for_complete(data, capsys):
    assert gen_megaface.main(command(data, "--store", "float32")) == 0
    assert gen_megaface.main(command(data, "--store", "float32")) == 0
    assert "megaface_x.npy is complete" in capsys.readouterr().out
    assert gen_megaface.main(command(data, "--store", "float16")) == 2
    assert "holds another list or type" in capsys.readouterr().err
    with (data / "megaface_lst").open("a") as file:
        file.write("new.png\n")
    assert gen_megaface.main(command(data, "--store", "float32")) == 2
    assert "megaface_x.npy: holds another list or type" in capsys.readouterr().err


def test_features_of_another_model_are_not_mixed_in(data, capsys):
    assert gen_megaface.main(command(data)) == 0
    assert gen_megaface.main(command(data, model="b,0")) == 2
    assert "of another model or image size" in capsys.readouterr().err
    (data / "out" / "facescrub_x.json").write_text("{")
    assert gen_megaface.main(command(data)) == 2
    assert "not a note of an earlier start" in capsys.readouterr().err


def test_published_flags(data, capsys):
    assert gen_megaface.main(command(data, "--mf", "0")) == 0
    assert not (data / "out" / "megaface").exists()
    assert gen_megaface.main(command(data, "--skip", "20")) == 0
    assert len(list((data / "out" / "megaface").rglob("*.bin"))) == 1
    for flags, message in [
        (["--mean", "1"], "--mean 1: only 0 here; the networks normalise"),
        (["--concat", "1"], "--concat 1: only 0 here"),
        (["--shard", "3/2"], "--shard '3/2': give I/N"),
        (["--image_size", "112"], "give 3,HEIGHT,WIDTH"),
        (["--skip", "1", "--store", "float32"], "a store goes on by itself"),
        (["--skip", "-1"], "--skip at least 0"),
        (["--batch_size", "0"], "--batch_size must be at least 1"),
        (["--megaface-lst", str(data / "nowhere")], "no list /"),
    ]:
        assert gen_megaface.main(command(data, *flags)) == 2
        assert message in capsys.readouterr().err


def test_a_note_says_what_the_features_are_of(data):
    assert gen_megaface.main(command(data)) == 0
    note = json.loads((data / "out" / "megaface_x.json").read_text())
    assert note == {
        "models_sha256": ["print of a,0"], "engine": "auto", "dtype": "float32",
        "height_width": [8, 8], "flip": "sum",
    }  # fmt: skip


def test_bad_images_are_told_before_the_first_is_embedded(data, caplog, monkeypatch):
    (data / "megaface_images/4/x@N00/4_0.png").unlink()
    monkeypatch.setattr(gen_megaface, "open_embedder", None)  # cannot be called
    with pytest.raises(TypeError):
        gen_megaface.generate(gen_megaface.build_parser().parse_args(command(data)))
    assert "1 of 21 images are missing or none" in caplog.text and "4_0.png: missing" in caplog.text


def test_a_list_of_other_images_is_refused(data, capsys):
    names = [f"data/{number}.jpg" for number in range(11)]
    (data / "megaface_lst").write_text("\n".join(names))
    for more in ([], ["--store", "float32"]):
        assert gen_megaface.main(command(data, *more)) == 2
        told = capsys.readouterr().err
        assert "11 of 11 images are missing" in told
        assert "the list: 'data/0.jpg' and 'data/1.jpg'" in told
        assert "'0/x@N00/0_0.png' and '1/x@N00/1_0.png'" in told
    assert not SEEN
