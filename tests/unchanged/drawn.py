"""What the commands are given: images, lists and protocols, drawn from seeds.

Every image has a random state of its own, so that one more of them changes no other.  All
are small: crops of 32x32, and of 112x112 where a command takes no other size.
"""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
from scipy.io import savemat

TRAINED = ("ann", "bob", "cyd", "dee", "eve", "fay", "gus", "hal")
HELD_OUT = ("ida", "jim", "kim", "lee", "mia", "ned")
IMAGES = 6  # of each person
SIDE = 32  # pixels of a crop
SUBJECTS = 12  # of the template benchmark
MAT_HEADER = 116  # bytes of text at the beginning of a MATLAB file; they say when it was made

# x, y of eyes, nose and mouth corners in a scene of 150x170; near enough to a face's.
LANDMARKS = np.array([[58, 62], [98, 60], [79, 86], [62, 108], [97, 106]], float)


def draw(folder: Path) -> None:
    """Write everything below folder."""
    people(folder / "people")
    photos(folder / "photos")
    crop_list(folder / "list")
    pair_lists(folder)
    ijb(folder / "IJBC")
    ytf(folder / "YTF")
    megaface(folder / "megaface")
    faces(folder / "faces")


def face(person: int, image: int, side: int = SIDE, noise: float = 22) -> np.ndarray:
    """Return BGR uint8 (side, side, 3): a pattern of the person with noise of the image."""
    pattern = np.random.default_rng([1, person]).uniform(40, 215, (4, 4, 3))
    grown = cv2.resize(pattern, (side, side), interpolation=cv2.INTER_CUBIC)
    change = np.random.default_rng([2, person, image]).normal(0, noise, grown.shape)
    return np.clip(grown + change, 0, 255).astype(np.uint8)


def save(path: Path, bgr: np.ndarray) -> None:
    """Write an image in the format of the path's ending, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    done, data = cv2.imencode(path.suffix, bgr)
    assert done
    path.write_bytes(data.tobytes())


def write(path: Path, lines: list[str]) -> None:
    """Write lines, making the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def people(folder: Path) -> None:
    """people/ann/ann_0001.jpg: crops of 32x32 in the layout of LFW."""
    for person, name in enumerate(TRAINED + HELD_OUT):
        for image in range(IMAGES):
            save(folder / name / f"{name}_{image + 1:04d}.jpg", face(person, image))


def photos(folder: Path) -> None:
    """photos/p0/0.png: images of many sizes and formats, one of them grey."""
    for person in range(4):
        for image, ending in enumerate((".png", ".jpg", ".bmp")):
            bgr = face(100 + person, image, 40)[: 26 + 4 * person, : 40 - 3 * image]
            save(folder / f"p{person}/{image}{ending}", bgr)
        save(folder / f"p{person}/3.pgm", face(100 + person, 3)[:, :, 0])


def crop_list(folder: Path) -> None:
    """list/: aligned crops and scenes; list112/train.lst, list96/train.lst: the same list twice,
    since records are written beside it.

    Its identities have gaps and are not grouped; one scene has no landmarks, one crop is broken.
    """
    lines = []
    for number in range(10):
        identity = (3, 0, 7)[number % 3]
        if number % 2:
            save(folder / f"crops/{number}.jpg", face(200 + identity, number, 112))
            lines.append(f"1\tcrops/{number}.jpg\t{identity}")
            continue
        scene = face(200 + identity, number, 170)[:, :150]
        save(folder / f"scenes/{number}.png", scene)
        points = LANDMARKS + np.random.default_rng([3, number]).uniform(-6, 6, LANDMARKS.shape)
        numbers = "\t".join(f"{value:.2f}" for value in points.T.ravel())
        lines.append(f"0\tscenes/{number}.png\t{identity}\t40\t40\t120\t130\t{numbers}")
    lines.append("0\tscenes/0.png\t3")
    write(folder / "crops/broken.jpg", ["no image"])
    lines.append("1\tcrops/broken.jpg\t0")
    for size in (112, 96):
        write(folder.with_name(f"list{size}") / "train.lst", lines)


def drawn_pairs(count: int) -> list[tuple[str, int, str, int]]:
    """Return (name, image, name, image) of pairs of the people held out, genuine ones first of
    every two."""
    rng = np.random.default_rng(4)
    pairs = []
    for number in range(count):
        left = HELD_OUT[number // 2 % len(HELD_OUT)]
        right = left if number % 2 == 0 else HELD_OUT[(number // 2 + 1 + number % 5) % 6]
        i, j = rng.permutation(IMAGES)[:2] + 1
        pairs.append((left, int(i), right, int(j)))
    return pairs


def pair_lists(folder: Path) -> None:
    """The published lists of pairs, each in its own form, over the same few images."""
    pairs = drawn_pairs(40)
    lines = [
        f"{left}\t{i}\t{j}" if left == right else f"{left}\t{i}\t{right}\t{j}"
        for left, i, right, j in pairs
    ]
    write(folder / "people/pairs.txt", ["1\t20", *lines])
    named = [
        (f"{left}/{left}_{i:04d}.jpg", f"{right}/{right}_{j:04d}.jpg", int(left == right))
        for left, i, right, j in pairs
    ]
    write(folder / "people/flagged.txt", [f"{a} {b} {flag}" for a, b, flag in named])
    two = [f"{name} {index if flag else 0}" for index, (a, b, flag) in enumerate(named, start=1)
           for name in (a, b)]  # fmt: skip
    write(folder / "people/pairs_CALFW.txt", two)
    cfp(folder / "CFP")
    agedb(folder / "AgeDB")


def cfp(folder: Path) -> None:
    """Ten people, three frontal and two profile images each, the lists of one fold, a table."""
    numbers: dict[str, list[str]] = {"F": [], "P": []}
    for person in range(10):
        for kind, name, count in (("F", "frontal", 3), ("P", "profile", 2)):
            for image in range(1, count + 1):
                path = f"Data/Images/{person + 1:03d}/{name}/{image:02d}.jpg"
                save(folder / path, face(300 + person, image + 10 * (kind == "P")))
                numbers[kind].append(f"{len(numbers[kind]) + 1} ../{path}")
    for kind, lines in numbers.items():
        write(folder / f"Protocol/Pair_list_{kind}.txt", lines)
    for fold in range(2):
        chosen = range(5 * fold, 5 * fold + 5)
        same = [f"{3 * p + 1},{2 * p + 1 + fold}" for p in chosen]
        different = [f"{3 * p + 2},{2 * ((p + 3) % 10) + 1}" for p in chosen]
        write(folder / f"Protocol/Split/FP/{fold + 1:02d}/same.txt", same)
        write(folder / f"Protocol/Split/FP/{fold + 1:02d}/diff.txt", different)
    rows = []
    for person in range(10):
        other = person if person % 2 else (person + 1) % 10
        left, right = (f"Data/Images/{p + 1:03d}/frontal/{i:02d}.jpg"
                       for p, i in ((person, 1), (other, 2)))  # fmt: skip
        rows.append([left, right, 1.0, 1.0 if other == person else -1.0])
    mat(folder / "CFP_frontal_paris.mat", {"pairs": table(rows)})


def agedb(folder: Path) -> None:
    """Six people, four images each, and a table of two folds."""
    names = {}
    for person in range(6):
        for image in range(4):
            names[person, image] = f"{person}_Name{person}_{20 + 9 * image}_f"
            path = folder / f"03_Protocol_Images/{names[person, image]}.jpg"
            save(path, face(400 + person, image))
    splits = np.empty((2, 1), dtype=object)
    for fold in range(2):
        left = [names[person, fold] for person in range(6)]
        right = [names[person if person % 2 else (person + 2) % 6, 3] for person in range(6)]
        splits[fold, 0] = table([left, right])
    mat(folder / "04_FINAL_protocol_30_years.mat", {"splits": splits})


def table(rows: list[list]) -> np.ndarray:
    """Return MATLAB's cells of rows."""
    cells = np.empty((len(rows), len(rows[0])), dtype=object)
    for i, row in enumerate(rows):
        for j, value in enumerate(row):
            cells[i, j] = np.array([value])
    return cells


def mat(path: Path, content: dict) -> None:
    """Write a MATLAB file without the hour at which it was made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, content)
    data = bytearray(path.read_bytes())
    data[:MAT_HEADER] = b"MATLAB 5.0 MAT-file".ljust(MAT_HEADER)
    path.write_bytes(data)


def ijb(folder: Path) -> None:
    """Subjects with two templates of three images in two media; two galleries of four."""
    owners, points = [], []
    offset = np.array([[38.3, 51.7], [73.5, 51.5], [56.0, 71.7], [41.5, 92.4], [70.7, 92.2]])
    for name in range(6 * SUBJECTS):
        subject, template, medium = name // 6, name // 3 % 2, name % 3 // 2
        save(folder / f"loose_crop/{name}.jpg", face(500 + subject, name, 112, 60))
        owners.append(f"{name}.jpg {100 + 2 * subject + template} {medium}")
        rng = np.random.default_rng([5, name])
        marks = " ".join(f"{v:.3f}" for v in (offset + rng.uniform(-2, 2, (5, 2))).ravel())
        points.append(f"{name}.jpg {marks} {rng.uniform(0.5, 1):.3f}")
    all_pairs = [(a, b) for a in range(SUBJECTS) for b in range(SUBJECTS)]
    pairs = [f"{100 + 2 * a} {101 + 2 * b} {int(a == b)}" for a, b in all_pairs]
    galleries = {"G1": range(4), "G2": range(4, 8)}
    write(folder / "meta/ijbc_face_tid_mid.txt", owners)
    write(folder / "meta/ijbc_name_5pts_score.txt", points)
    write(folder / "meta/ijbc_template_pair_label.txt", pairs)
    for name, subjects in galleries.items():
        lines = ["T,S,F"] + [f"{100 + 2 * s},{s},x" for s in subjects]
        write(folder / f"meta/ijbc_1N_gallery_{name}.csv", lines)
    probes = ["T,S,F"] + [f"{101 + 2 * s},{s},x" for s in range(SUBJECTS)] * 2
    write(folder / "meta/ijbc_1N_probe_mixed.csv", probes)


def ytf(folder: Path) -> None:
    """Six people with two videos of four and five frames, and 30 pairs."""
    for person in range(6):
        for video in range(2):
            for frame in range(4 + video):
                path = folder / f"images/p{person}/{video}/{frame}.jpg"
                save(path, face(600 + person, 10 * video + frame, noise=60))
    lines = ["split number, pair number, first name, second name, is same"]
    for number in range(30):
        left = number % 6
        right = left if number % 2 else (left + 1 + number // 6) % 6
        lines.append(f"{number // 3 + 1}, {number}, p{left}/0, p{right}/1, {int(left == right)}")
    write(folder / "splits2.txt", lines)


def megaface(folder: Path) -> None:
    """Probes of six people, 30 distractors, their lists, and which of them are wrong."""
    probes = [f"Person_{p}/Person_{p}_{i}.png" for p in range(6) for i in range(4)]
    for number, name in enumerate(probes):
        save(folder / "facescrub_images" / name, face(700 + number // 4, number, noise=45))
    distractors = [f"{n % 7}/{n}@N00/{n}_0.png" for n in range(30)]
    for number, name in enumerate(distractors):
        save(folder / "megaface_images" / name, face(800 + number, 0))
    write(folder / "facescrub_lst", probes)
    write(folder / "megaface_lst", distractors)
    write(folder / "facescrub_noises.txt", [Path(probes[5]).name, Path(probes[10]).name])
    write(folder / "megaface_noises.txt", [distractors[3], distractors[17]])
    ids = [name.split("/")[0] for name in probes]
    lists = folder / "templatelists"
    write(lists / "facescrub_features_list.json", [json.dumps({"path": probes, "id": ids})])
    for size in (10, 30):
        content = json.dumps({"path": distractors[:size]})
        write(lists / f"megaface_features_list.json_{size}_1", [content])


def faces(folder: Path) -> None:
    """faces/one/0.jpg: photos with one face, scikit-image's astronaut, turned and scaled, and
    one of nobody; kit/megaface/: the same photos with their boxes, as the kit lays them out."""
    import skimage

    photo = cv2.imread(str(Path(skimage.__file__).parent / "data" / "astronaut.png"))
    turns = [(0, 0.7, 0), (8, 0.6, 0), (-14, 0.8, 1), (4, 0.5, 1), (20, 0.75, 0), (-5, 1.0, 0)]
    for number, (degrees, scale, mirrored) in enumerate(turns):
        matrix = cv2.getRotationMatrix2D((224, 116), degrees, scale)
        bgr = cv2.warpAffine(photo, matrix, (448, 320), borderMode=cv2.BORDER_REFLECT)
        bgr = bgr[:, ::-1] if mirrored else bgr
        save(folder / f"{('one', 'two')[number % 2]}/{number}.jpg", bgr)
        mega = folder / f"kit/megaface/{number}/x@N00/{number}_0.jpg"
        save(mega, bgr)
        corner = (448 - 224 - 45 if mirrored else 224 - 45, 116 - 50)
        box = {"x": corner[0], "y": corner[1], "width": 90, "height": 110}
        write(mega.with_name(mega.name + ".json"), [json.dumps({"bounding_box": box})])
    save(folder / "two/9.png", face(900, 0, 96))
    images = [f"{('one', 'two')[n % 2]}/{n}.jpg" for n in range(len(turns))]
    lines = [f"{a} {b} {int(a[:3] == b[:3])}" for a, b in zip(images, images[1:] + images[:1],
                                                              strict=True)]  # fmt: skip
    write(folder / "pairs.txt", [*lines, f"{images[0]} {images[2]} 1", f"{images[1]} two/9.png 1"])
