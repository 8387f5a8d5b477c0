"""Vectors that are there already: every form, what they go by, and what is refused."""

import io
import re
import zipfile

from arcface_mxnet.embedding import npz
from arcface_mxnet.embedding.ready_vectors import ReadyVectors
from arcface_mxnet.embedding.source_text import check_aliases, declarations, parse_source
from arcface_mxnet.embedding.sources import Images, ReadyEmbeddings, open_sources
from arcface_mxnet.engines.model_input import Declaration
from arcface_mxnet.megaface.packed import StoreWriter
import numpy as np
import pytest

NAMES = ["a/0.png", "a/1.png", "b/0.png"]
VECTORS = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)


def write(path, vectors=VECTORS, names=NAMES):
    """Write vectors in the form of the ending."""
    if path.suffix == ".npy":
        np.save(path, vectors)
    elif path.suffix == ".npz":
        np.savez_compressed(path, vectors=vectors, names=np.array(names))
    elif path.suffix == ".csv":
        rows = [",".join([name, *map(repr, row.tolist())])
                for name, row in zip(names, vectors, strict=True)]  # fmt: skip
        path.write_text("\n".join(["name,v", *rows]))
    else:
        pa = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        table = pa.table({"image": names, "embedding": list(vectors)})
        parquet.write_table(table, path)
    return path


@pytest.mark.parametrize("ending", [".npz", ".csv", ".parquet"])
def test_rows_are_found_by_name(tmp_path, ending):
    ready = ReadyVectors(write(tmp_path / f"v{ending}"))
    wanted = ["b/0.png", "a/0.png", "b/0.png"]
    places = ready.places(3, [["0", "1", "2"], wanted], "pairs")
    plain, flipped = ready.rows(places)
    np.testing.assert_array_equal(plain, VECTORS[[2, 0, 2]])
    assert flipped is plain
    with pytest.raises(ValueError, match="3 vectors, and none for 1 of 2 images of pairs; pairs: "
                                         "'x'; .*: 'a/0.png' and 'a/1.png'"):  # fmt: skip
        ready.places(2, [["x", "a/0.png"]], "pairs")


def test_rows_without_names_are_those_of_the_list_in_order(tmp_path):
    ready = ReadyVectors(write(tmp_path / "v.npy"))
    np.testing.assert_array_equal(ready.places(3, [["x", "y", "z"]], "lfw"), [0, 1, 2])
    for count in (2, 4):
        with pytest.raises(ValueError, match=f"3 vectors for {count} images of lfw; give one for"):
            ready.places(count, [], "lfw")


def test_a_list_names_the_rows(tmp_path):
    write(tmp_path / "v.npy")
    (tmp_path / "names.txt").write_text("\n".join(NAMES))
    ready = ReadyVectors(tmp_path / "v.npy", {"list": str(tmp_path / "names.txt")})
    assert ready.names == NAMES
    (tmp_path / "names.txt").write_text("\n".join(NAMES[:2]))
    with pytest.raises(ValueError, match="3 vectors, but .*names.txt names 2 images"):
        ReadyVectors(tmp_path / "v.npy", {"list": str(tmp_path / "names.txt")})


def test_a_packed_store_names_its_rows(tmp_path):
    with StoreWriter(tmp_path / "v.npy", NAMES, 4, "float16") as store:
        store.write(VECTORS)
    ready = ReadyVectors(tmp_path / "v.npy")
    assert ready.names == NAMES
    np.testing.assert_array_equal(ready.rows(np.array([1]))[0], VECTORS[[1]].astype(np.float16))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_plain_and_flipped(tmp_path, dtype):
    both = np.stack([VECTORS, -VECTORS], axis=1).astype(dtype)
    np.save(tmp_path / "three.npy", both)
    np.save(tmp_path / "joined.npy", both.reshape(3, 8))
    for ready in (
        ReadyVectors(tmp_path / "three.npy"),
        ReadyVectors(tmp_path / "joined.npy", {"joined": ""}),
    ):
        plain, flipped = ready.rows(np.arange(3))
        assert plain.dtype == flipped.dtype == np.float32 and ready.dim == 4
        np.testing.assert_allclose(plain, VECTORS, rtol=1e-3)
        np.testing.assert_array_equal(flipped, -plain)
    np.save(tmp_path / "odd.npy", VECTORS[:, :3])
    with pytest.raises(ValueError, match=r"joined halves want \(N, 2 D\), it holds \(3, 3\)"):
        ReadyVectors(tmp_path / "odd.npy", {"joined": ""})


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0, 1e39])
@pytest.mark.parametrize("side", [0, 1])
def test_a_useless_vector_is_named_by_its_row(tmp_path, bad, side):
    both = np.stack([VECTORS, VECTORS], axis=1).astype(np.float64)
    if bad == 0:
        both[1, side] = 0
    else:
        both[1, side, 2] = bad
    np.savez(tmp_path / "v.npz", both, np.array(NAMES))
    reason = "all zeros" if bad == 0 else "holds NaN or infinity"
    with pytest.raises(ValueError, match=rf"v.npz: row 1 \('a/1.png'\): {reason}"):
        ReadyVectors(tmp_path / "v.npz").rows(np.array([0, 1, 2]))
    ReadyVectors(tmp_path / "v.npz").rows(np.array([0, 2]))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("v.npz", b"junk", "not a .npz file"),
        ("v.npy", b"junk", "not a store"),
        ("v.csv", b"", "empty"),
        ("v.csv", b"name,v0\na,1,2\nb,1\n", "line 3: expected name and 2 values"),
        ("v.csv", b"name,v0\na,x\n", "line 2: expected name,value"),
        ("v.csv", b"a,1.5, -2e3\nb,1,2\n", "line 1: is a vector; a header is wanted, such as"),
        ("v.csv", b"name,0,1\n", "no vectors after its header"),
        ("v.csv", b"name,v0\n", "no vectors after its header"),
    ],
)
def test_what_is_no_file_of_vectors(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        ReadyVectors(tmp_path / name)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": VECTORS, "b": VECTORS}, "wanted is one array of floats.* @key=NAME says which"),
        ({"a": np.arange(6).reshape(2, 3)}, "wanted is one array of floats"),
        ({"a": VECTORS, "n": np.array(["x"])}, "one list of names, as long as the vectors"),
        ({"a": np.zeros((2, 3, 4))}, r"wanted are \(N, D\), or \(N, 2, D\)"),
        ({"a": np.zeros((0, 4))}, "holds no vectors"),
        ({"a": np.array([{}], object)}, "not a .npz file that can be read"),
    ],
)
def test_arrays_that_are_not_meant(tmp_path, arrays, message):
    np.savez(tmp_path / "v.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        ReadyVectors(tmp_path / "v.npz")


def test_one_of_several_arrays_is_named(tmp_path):
    np.savez(tmp_path / "v.npz", a=VECTORS, b=-VECTORS)
    ready = ReadyVectors(tmp_path / "v.npz", {"key": "b"})
    np.testing.assert_array_equal(ready.vectors, -VECTORS)


def test_an_archive_that_grows_out_of_all_bounds_is_refused(tmp_path):
    made = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        made, {"descr": "<f4", "fortran_order": False, "shape": (1 << 20, 4)})  # fmt: skip
    with zipfile.ZipFile(tmp_path / "v.npz", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("a.npy", made.getvalue() + bytes(1 << 24))
    with pytest.raises(ValueError, match="not a .npz file that can be read: .*16777344 bytes"):
        ReadyVectors(tmp_path / "v.npz")


def test_an_archive_of_zeros_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(npz, "FREE", 1 << 20)
    np.savez_compressed(tmp_path / "v.npz", *[np.zeros((1 << 14, 4), np.float32)] * 8)
    with pytest.raises(ValueError, match="arrays of 2098176 bytes, far more than the file has"):
        ReadyVectors(tmp_path / "v.npz")
    monkeypatch.setattr(npz, "FREE", 1 << 22)
    with pytest.raises(ValueError, match="wanted is one array of floats"):
        ReadyVectors(tmp_path / "v.npz")


def test_sources_in_words():
    assert parse_source("m/r50,1").name == "m/r50,1"
    named = parse_source("r50=m/r50,1")
    assert (named.alias, named.model, named.name) == ("r50", "m/r50,1", "r50")
    assert parse_source("./a=b,1").model == "./a=b,1"
    assert parse_source("runs/lr=1/net,1").model == "runs/lr=1/net,1"
    one = parse_source("zoo=a/b.onnx@insightface;output=fc1")
    assert (one.alias, one.model) == ("zoo", "a/b.onnx")
    declared, preset = declarations(one)
    assert declared == Declaration(output="fc1") and preset.mean == (127.5,)
    words = "x.onnx@size=112x96;color=bgr;mean=1,2,3;scale=2;layout=nhwc"
    declared, preset = declarations(parse_source(words))
    assert declared == Declaration(
        size=(112, 96), color="bgr", mean=(1.0, 2.0, 3.0), scale=(2.0,), layout="nhwc")  # fmt: skip
    assert preset == Declaration()


def test_a_path_that_is_there_has_no_alias(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert parse_source("lr=0.1/net,3").alias == "lr"
    (tmp_path / "lr=0.1").mkdir()
    (tmp_path / "lr=0.1/net-symbol.json").touch()
    (tmp_path / "a=b.npy").touch()
    for text in ("lr=0.1/net,3", "lr=0.1/net", "a=b.npy"):
        assert (parse_source(text).alias, parse_source(text).model) == ("", text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.onnx@colour=bgr", "unknown option 'colour'; known: size, color, mean"),
        ("a.onnx@nothing", "unknown preset; known: adaface, facenet, insightface, sface"),
        ("a.onnx@adaface;sface", "two presets, adaface and sface"),
        ("a.onnx@mean=1,2", "give one number, or three"),
        ("a.onnx@size=112", "give HEIGHT,WIDTH"),
        ("a.onnx@color=bgr;color=rgb", "each once"),
    ],
)
def test_sources_that_are_none(text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        declarations(parse_source(text))


def test_two_models_of_one_name_are_refused():
    check_aliases([parse_source("a,1"), parse_source("a,1")])  # the same, twice
    for texts in (["x=a,1", "x=b,1"], ["x=a,1", "x=a,1"], ["m.onnx=a,1", "m.onnx"]):
        with pytest.raises(ValueError, match="two models are called '(x|m.onnx)'"):
            check_aliases([parse_source(text) for text in texts])


def test_a_source_of_vectors_reads_no_image(tmp_path):
    write(tmp_path / "lfw.npy", np.concatenate([VECTORS] * 700))

    def read(start):
        raise AssertionError("no pixel is needed")

    source = ReadyEmbeddings(parse_source(f"v={tmp_path}/{{target}}.npy"))
    images = Images("lfw", 2100, read)
    assert source.num_ready(images) == 2100
    blocks = list(source.blocks(images))
    assert [start for start, *_ in blocks] == [0, 2048]
    np.testing.assert_array_equal(np.concatenate([b[1] for b in blocks])[2097:], VECTORS)
    assert source.facts_of("lfw")["engine"] == "ready vectors"
    with pytest.raises(FileNotFoundError, match="no file of vectors /.*cfp.npy"):
        list(source.blocks(Images("cfp", 3, read)))


def test_several_networks_are_kept_in_files_of_their_own():
    with pytest.raises(ValueError, match="--features FILE.npy: where the embeddings of the net"):
        open_sources(["a/b,1"], None)
    with pytest.raises(ValueError, match="2 networks; put {model} into it"):
        open_sources(["a/b,1", "b,1"], None, "f.npy")
    kept = [source.kept for source in open_sources(["a/b,1", "r=b,1"], None, "k/f_{model}.npy")]
    assert kept == ["k/f_a_b,1.npy", "k/f_r.npy"]
