"""Resident memory over photos of a thousand sizes: detectors, and arcface-align as a whole.

    python -m benchmarks.photo_memory

Needs the pretrained networks (arcface-fetch fetch sface mtcnn) and the LFW photos of
../shared/data.  Every measurement is a process of its own; a detector's memory is the median of
what was resident after each of the last 20 photos, for photos take some themselves.  Wanted: after
1,000 photos at most 10 % more than after 100.
"""

from __future__ import annotations

from multiprocessing import get_context
import os
from pathlib import Path
import tempfile
import time

import cv2
import numpy as np

ROOT = Path(__file__).parents[1]
MODELS = ROOT / "models"
LFW = ROOT.parent / "shared/data/lfw"
PHOTOS, EARLY = 1000, 100
SIDES = (100, 800)  # pixels


def main() -> None:
    for needed in (LFW, MODELS / "mtcnn", MODELS / "yunet.onnx"):
        if not needed.exists():
            print(f"skipped: no {needed.relative_to(ROOT.parent)}")
            return
    spawn = get_context("spawn")
    for name, folder in (("mtcnn", MODELS / "mtcnn"), ("yunet", MODELS)):
        for work in (detect, align):
            queue = spawn.Queue()
            process = spawn.Process(target=work, args=(str(folder), queue))
            process.start()
            early, late, seconds = queue.get()
            process.join()
            print(
                f"{name}, {work.__name__}: {early:.0f} MB after {EARLY} photos, {late:.0f} after "
                f"{PHOTOS}, {late / early:.2f} x; {1000 * seconds / PHOTOS:.1f} ms a photo"
            )


def resized(number: int) -> np.ndarray:
    """Return a photo of a size of its own, uint8 BGR."""
    paths = sorted((LFW / "fold_1").rglob("*.jpg"))
    rng = np.random.default_rng(number)
    return cv2.resize(cv2.imread(str(paths[number % len(paths)])), rng.integers(*SIDES, 2).tolist())


def detect(folder: str, queue) -> None:
    from arcface_mxnet.align.detectors import open_detector

    detector = open_detector(folder)
    taken, seconds = {}, 0.0
    for number in range(PHOTOS):
        photo = resized(number)
        start = time.perf_counter()
        detector.detect(photo)
        seconds += time.perf_counter() - start
        taken[number + 1] = resident()
    early, late = (
        float(np.median([taken[number] for number in range(end - 19, end + 1)]))
        for end in (EARLY, PHOTOS)
    )
    queue.put((early, late, seconds))


def align(folder: str, queue) -> None:
    from arcface_mxnet.align.align_faces import main as align_faces

    with tempfile.TemporaryDirectory() as directory:
        seconds = 0.0
        for part in (range(EARLY), range(EARLY, PHOTOS)):
            photos = Path(directory) / f"photos{part.start}/one"
            photos.mkdir(parents=True)
            for number in part:
                cv2.imwrite(str(photos / f"{number}.jpg"), resized(number))
            start = time.perf_counter()
            # One call looks at the first, the next at the rest: caches of a process last.
            crops = Path(directory) / f"crops{part.start}"
            align_faces([str(photos.parent), str(crops), "--detector", folder])
            seconds += time.perf_counter() - start
            if part.start == 0:
                early = resident()
        queue.put((early, resident(), seconds))


def resident() -> float:
    """Return the resident memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
