"""IJB end to end on a small synthetic benchmark in the published layout."""

import codecs
import re

from arcface_mxnet.align.crop import align_face
from arcface_mxnet.align.template import template
from arcface_mxnet.embedder import Embedder
from arcface_mxnet.embedding.stored_embeddings import read_embeddings, store_embeddings
from arcface_mxnet.eval.ijb import main, template_features
from arcface_mxnet.eval.ijb_lists import read_faces, read_search_list, read_template_pairs
from arcface_mxnet.eval.templates import TemplateOptions
import cv2
import numpy as np
import pytest


@pytest.fixture
def benchmark(tmp_path, save_network):
    """12 subjects with 2 templates of 3 images in 2 media; subjects 0..3 in G1, 4..7 in G2."""
    root = tmp_path / "IJBC"
    (root / "loose_crop").mkdir(parents=True)
    (root / "meta").mkdir()
    rng = np.random.default_rng(0)
    owners, points, name = [], [], 0
    for subject in range(12):
        face = rng.integers(0, 256, (112, 112, 3))
        for number in range(2):
            for medium in (0, 0, 1):
                image = np.clip(face + rng.normal(0, 60, face.shape), 0, 255).astype(np.uint8)
                cv2.imwrite(str(root / f"loose_crop/{name}.jpg"), image)
                owners.append(f"{name}.jpg {100 + 2 * subject + number} {medium}")
                landmarks = " ".join(f"{value:.3f}" for value in template((112, 112)).ravel())
                points.append(f"{name}.jpg {landmarks} {rng.uniform(0.5, 1):.3f}")
                name += 1
    pairs = [f"{100 + 2 * a} {101 + 2 * b} {int(a == b)}" for a in range(12) for b in range(12)]
    files = {
        "face_tid_mid.txt": owners,
        "name_5pts_score.txt": points,
        "template_pair_label.txt": pairs,
        "1N_gallery_G1.csv": ["T,S,F"] + [f"{100 + 2 * s},{s},x" for s in range(4)],
        "1N_gallery_G2.csv": ["T,S,F"] + [f"{100 + 2 * s},{s},x" for s in range(4, 8)],
        "1N_probe_mixed.csv": ["T,S,F"] + [f"{101 + 2 * s},{s},x" for s in range(12)] * 2,
    }
    for file, lines in files.items():
        (root / "meta" / f"ijbc_{file}").write_text("\n".join(lines) + "\n")
    model = save_network(tmp_path / "net", 1, size=(112, 112))
    return root, model, tmp_path / "features.npy"


def arguments(benchmark, *more):
    root, model, features = benchmark
    return [
        "--data-dir",
        str(root),
        "--model",
        model,
        "--features",
        str(features),
        "--gpu",
        "-1",
        *more,
    ]


def test_both_protocols(benchmark, capsys):
    assert main(arguments(benchmark)) == 0
    out = capsys.readouterr().out
    assert out.startswith("IJBC, keep norm, detector score, flip sum\n")
    tar = float(re.search(r"TAR@FAR=1e-01: ([\d.]+) %", out)[1])
    assert tar > 70
    assert "TAR@FAR=1e-03: needs 1,000 impostor pairs" in out
    assert float(re.search(r"top-1: ([\d.]+) %", out)[1]) > 70
    assert re.search(r"top-10: 100.00 %", out)
    assert re.search(r"TPIR@FPIR=0\.1: too few unmated probes, it needs 10$", out, re.M)  # of 8


def test_the_report_of_all_switches(benchmark, tmp_path, read_page):
    more = ["--all-switches", "--report", str(tmp_path / "out.html"), "--alias", "tiny"]
    assert main(arguments(benchmark, *more)) == 0
    page = read_page(tmp_path / "out.html")
    assert page.text.count("tiny, keep norm, detector score, flip sum") >= 3
    assert "12 genuine and 132 impostor pairs" in page.text and "rank 10" in page.text
    assert len(set(re.findall(r"tiny, (\w+ norm[^<]*?flip|\w+ norm[^<]*?plain)", page.text))) >= 2
    assert page.tags.count("svg") == 2 and page.tags.count("table") == 3


def test_switches_use_the_features_that_are_kept(benchmark, capsys):
    main(arguments(benchmark, "--protocol", "1:1"))
    before = benchmark[2].stat().st_mtime_ns
    capsys.readouterr()
    assert main(arguments(benchmark, "--protocol", "1:1", "--all-switches")) == 0
    out = capsys.readouterr().out
    assert len(set(re.findall(r"^IJBC, .*$", out, re.M))) == 8
    assert benchmark[2].stat().st_mtime_ns == before


def test_features_are_those_of_the_aligned_images(benchmark):
    root, model, features = benchmark
    main(arguments(benchmark))
    faces = read_faces(root, "IJBC")
    crops = [
        align_face(cv2.imread(str(path)), marks, (112, 112))[..., ::-1]
        for path, marks in zip(faces.paths[:5], faces.landmarks[:5], strict=True)
    ]
    plain, flipped = Embedder(model).plain_and_flipped(crops)
    stored = next(read_embeddings(features))
    np.testing.assert_allclose(stored[1][:5], plain, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(stored[2][:5], flipped, rtol=1e-4, atol=1e-4)


def test_an_interrupted_run_goes_on(benchmark, monkeypatch):
    monkeypatch.setattr("arcface_mxnet.embedding.stored_embeddings.IMAGES_AT_ONCE", 10)
    main(arguments(benchmark))
    complete = benchmark[2].read_bytes()
    part = benchmark[2].with_name("features.npy.partial")
    benchmark[2].rename(part)
    with part.open("r+b") as file:
        file.truncate(len(complete) // 2 + 3)  # within an image
    broken = benchmark[0] / "loose_crop/2.jpg"
    broken.write_bytes(b"")  # an image that is done must not be read again
    assert main(arguments(benchmark)) == 0
    assert benchmark[2].read_bytes() == complete
    assert np.load(benchmark[2]).shape == (72, 2, 16)
    assert not part.exists()


def test_a_kill_before_the_first_image_is_no_obstacle(tmp_path, monkeypatch):
    class Network:
        def plain_and_flipped(self, images):
            rows = np.array([image.mean(axis=(0, 1)) for image in images], np.float32)
            return rows, rows

    images = [np.full((2, 2, 3), number, np.uint8) for number in range(3)]
    job = tmp_path / "f.npy", {"model": "m"}, 3, lambda start: images[start:], Network

    def kill(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("numpy.lib.format.write_array_header_1_0", kill)
        with pytest.raises(KeyboardInterrupt):
            store_embeddings(*job)
    store_embeddings(*job)
    assert np.load(tmp_path / "f.npy")[:, 0, 0].tolist() == [0, 1, 2]


def test_features_of_another_model_are_refused(benchmark, save_network, tmp_path, capsys):
    main(arguments(benchmark))
    save_network(tmp_path / "net", 1, seed=9, size=(112, 112))
    assert main(arguments(benchmark)) == 2
    assert "holds features of another model or list" in capsys.readouterr().err
    benchmark[2].with_name("features.npy.json").unlink()
    assert main(arguments(benchmark)) == 2
    assert "no features.npy.json says of what model" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("face_tid_mid.txt", "a.jpg 1\n", "line 1: 2 fields, expected 3"),
        ("face_tid_mid.txt", "a.jpg 1 2\n", "1 images have templates, 72 landmarks"),
        ("template_pair_label.txt", "100 101 2\n", "line 1: expected `template template 0|1`"),
        ("template_pair_label.txt", "1 2 1\n1 2 1.5\n", "line 2: expected `template template 0|1`"),
        ("template_pair_label.txt", "1 2 1\n1 2\n", "line 2: expected `template template 0|1`"),
        ("template_pair_label.txt", f"1 2 1\n\n{'9' * 20} 2 1", "line 3: expected `template temp"),
        ("template_pair_label.txt", "", "holds no pair"),
        ("face_tid_mid.txt", f"a.jpg 1 {'9' * 20}\n", "line 1: '99999999999999999999' is no whole"),
        ("name_5pts_score.txt", "a.jpg" + 10 * " 1" + " nan", "line 1: 'nan' is no number"),
        ("name_5pts_score.txt", "a.jpg" + 10 * " 1e9" + " 1", "line 1: a coordinate or score is"),
        (
            "template_pair_label.txt",
            "100 999 1\n100 101 0\n",
            "1 templates have no images, such as 999",
        ),
        ("1N_gallery_G1.csv", "T,S\nx,y\n", "line 2: expected a header, then template"),
        ("1N_gallery_G1.csv", f"T,S\n1,{'9' * 20}\n", "line 2: expected a header, then template"),
        ("1N_gallery_G1.csv", "T,S\n", "names no template"),
        ("1N_probe_mixed.csv", "T,S\n1,2\n1,3\n", "a template has two subjects"),
        (
            "1N_gallery_G1.csv",
            "T,S\n101,7\n",
            "template 101 is of subject 0 in one list of 1:N",
        ),
        (
            "template_pair_label.txt",
            "100 101 1\n102 103 0\n101 100 0\n",
            "templates 100 and 101 are one person in one line and two in another; 1 such",
        ),
        (
            "template_pair_label.txt",
            f"{2**62} 5 1\n100 101 0\n5 {2**62} 0\n",
            f"templates 5 and {2**62} are one person in one line and two in another; 1 such",
        ),
        (
            "template_pair_label.txt",
            "100 101 1\n102 102 0\n",
            "templates 102 and 102 are one template, and said to be two people; 1 such",
        ),
    ],
)
def test_faulty_metadata(benchmark, capsys, file, text, message):
    (benchmark[0] / "meta" / f"ijbc_{file}").write_text(text)
    assert main(arguments(benchmark)) == 2
    assert message in capsys.readouterr().err


def test_large_ids_are_kept(benchmark):
    path = benchmark[0] / "meta/ijbc_template_pair_label.txt"
    path.write_bytes(codecs.BOM_UTF16_LE + "8589934593 2 1\r\n".encode("utf-16-le"))
    left, right, is_genuine = read_template_pairs(benchmark[0], "IJBC")
    assert (left.tolist(), right.tolist(), is_genuine.tolist()) == ([8589934593], [2], [True])


def test_names_stay_in_their_folder_and_lists_agree(benchmark):
    meta = benchmark[0] / "meta"
    for name, message in (("../x.jpg", "not a file name"), ("other.jpg", "the same images")):
        for file in ("face_tid_mid", "name_5pts_score"):
            if message == "the same images" and file == "name_5pts_score":
                continue
            path = meta / f"ijbc_{file}.txt"
            lines = path.read_text().splitlines()
            fields = lines[0].split()
            path.write_text("\n".join([" ".join([name, *fields[1:]]), *lines[1:]]))
        with pytest.raises(ValueError, match=message):
            read_faces(benchmark[0], "IJBC")


def test_what_the_lists_say_of_an_image(benchmark):
    root = benchmark[0]
    (root / "meta" / "ijbc_face_tid_mid.txt").write_text("a.jpg 7 8\nb.jpg 9 10\n")
    points = " ".join(map(str, range(10)))
    (root / "meta" / "ijbc_name_5pts_score.txt").write_text(
        f"a.jpg {points} 0.5\nb.jpg {points} 0.25\n"
    )
    faces = read_faces(root, "IJBC")
    assert [path.relative_to(root).as_posix() for path in faces.paths] == [
        "loose_crop/a.jpg", "loose_crop/b.jpg"]  # fmt: skip
    assert (faces.template_ids.tolist(), faces.media_ids.tolist()) == ([7, 9], [8, 10])
    assert faces.landmarks[0].tolist() == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    assert faces.detector_scores.tolist() == [0.5, 0.25]


def test_without_flip_the_plain_embedding_counts(benchmark):
    main(arguments(benchmark))
    faces = read_faces(benchmark[0], "IJBC")
    options = TemplateOptions(detector_score=False, flip=False)
    template_ids, features = template_features(str(benchmark[2]), faces, options)
    _, plain, _ = next(read_embeddings(benchmark[2]))
    total = plain[:2].mean(axis=0) + plain[2]  # two images of one medium, one of another
    assert template_ids[0] == 100
    np.testing.assert_allclose(features[0], total / np.linalg.norm(total), atol=1e-5)


def test_missing_files(benchmark, capsys):
    (benchmark[0] / "loose_crop/5.jpg").unlink()
    assert main(arguments(benchmark)) == 2
    said = capsys.readouterr().err
    assert "1 of 72 files are missing or no images" in said
    assert "no image file" in said and "5.jpg: missing" in said
    assert not benchmark[2].exists(), "found before the first image is embedded"
    (benchmark[0] / "meta/ijbc_1N_probe_mixed.csv").unlink()
    with pytest.raises(FileNotFoundError, match="^no list of templates and subjects of IJB /"):
        read_search_list(benchmark[0], "IJBC", "probe_mixed")
    left, right, flags = read_template_pairs(benchmark[0], "IJBC")
    assert (left[1], right[1], flags[1]) == (100, 103, False)


def test_skip_missing_leaves_images_out_of_their_templates_and_says_so(benchmark, capsys):
    crops = benchmark[0] / "loose_crop"
    (crops / "5.jpg").unlink()
    (crops / "9.jpg").write_bytes(b"")
    (crops / "30.jpg").write_bytes(b"<html>404")
    assert main(arguments(benchmark)) == 2
    said = capsys.readouterr().err
    assert "3 of 72 files" in said and "--skip-missing" in said
    assert "5.jpg: missing" in said and "9.jpg: empty" in said and "30.jpg: no image" in said
    assert main(arguments(benchmark, "--skip-missing", "--all-switches")) == 0
    heads = re.findall(r"^IJBC, .*$", capsys.readouterr().out, re.M)
    assert len(heads) == 8
    assert all(head.endswith("; 3 missing images left out of their templates") for head in heads)
    assert len(np.load(benchmark[2], mmap_mode="r")) == 69
    assert main(arguments(benchmark)) == 2, "never without being asked"


def test_a_template_without_images_is_not_left_out(benchmark, capsys):
    for name in (3, 4, 5):  # template 101
        (benchmark[0] / f"loose_crop/{name}.jpg").unlink()
    assert main(arguments(benchmark, "--skip-missing")) == 2
    said = capsys.readouterr().err
    assert "1 templates, such as 101, have no image left" in said and "4.jpg" in said


def test_a_folder_of_other_images_shows_two_names_of_each_side(benchmark, capsys):
    crops = benchmark[0] / "loose_crop"
    for path in list(crops.iterdir()):
        path.rename(crops / f"face-{path.name}")
    for more in ([], ["--skip-missing"]):
        assert main(arguments(benchmark, *more)) == 2
        said = capsys.readouterr().err
        assert "72 of 72 files are missing" in said
        assert "the list: '0.jpg' and '1.jpg'; there: 'face-0.jpg' and 'face-1.jpg'" in said


def test_all_faults_of_all_lists_are_told_before_embedding(benchmark, capsys):
    meta = benchmark[0] / "meta"
    pairs = meta / "ijbc_template_pair_label.txt"
    pairs.write_text(pairs.read_text() + "100 x 1\n100 101 7\n")
    (meta / "ijbc_1N_gallery_G1.csv").write_text("T,S\n999,1\n")
    (meta / "ijbc_1N_gallery_G2.csv").write_text("T,S\n100,1\nx,y\n7\n")
    assert main(arguments(benchmark)) == 2
    said = capsys.readouterr().err
    assert "line 145: " in said and "line 146: " in said and "'100 101 7' is something" in said
    assert "1 gallery templates have no images, such as 999" in said
    assert "_G2.csv: 2 bad lines" in said and "line 3: expected a header" in said
    assert not benchmark[2].exists()
    points = meta / "ijbc_name_5pts_score.txt"
    lines = points.read_text().splitlines()
    lines[1] = lines[1].rsplit(" ", 1)[0] + " nan"
    lines[2] = lines[2].rsplit(" ", 1)[0] + " high"
    points.write_text("\n".join(lines))
    assert main(arguments(benchmark)) == 2
    said = capsys.readouterr().err
    assert "2 bad lines" in said and "line 2: 'nan' is no number" in said and "'high'" in said
