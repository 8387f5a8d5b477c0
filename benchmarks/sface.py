"""The converted checkpoint sface-m1 against OpenCV's own reader of the same weights.

    python -m benchmarks.sface

Needs the pretrained networks (arcface-fetch fetch sface) and the LFW pairs of ../shared/data.
"""

from __future__ import annotations

from pathlib import Path

from arcface_mxnet.embedder import Embedder
from arcface_mxnet.eval.pair_sets import read_pair_set
from arcface_mxnet.eval.protocols import verify_pairs
import cv2
import mxnet as mx
import numpy as np

ROOT = Path(__file__).parents[1]
MODELS = ROOT / "models"
PAIRS = ROOT.parent / "shared/data/lfw/lfw_folds_1_2.bin"


def main() -> None:
    for needed in (PAIRS, MODELS / "sface.onnx"):
        if not needed.is_file():
            print(f"skipped: no {needed.relative_to(ROOT.parent)}")
            return
    pairs = read_pair_set(PAIRS)
    numbers, rows = pairs.distinct()
    crops = list(pairs.decoded(numbers=numbers))  # RGB
    reference = cv2.FaceRecognizerSF.create(str(MODELS / "sface.onnx"), "")
    theirs = [reference.feature(rgb[..., ::-1].copy())[0].copy() for rgb in crops]
    ours = Embedder(f"{MODELS}/sface-m1,0", mx.cpu(), flip=False)(np.stack(crops))
    theirs = np.array(theirs) / np.linalg.norm(theirs, axis=1, keepdims=True)
    cosines = (ours * theirs).sum(1)
    print(f"{len(crops)} crops, cosine of ours to OpenCV's: least {cosines.min():.6f}")
    for name, embeddings in (("OpenCV", theirs), ("ours", ours)):
        sides = embeddings[rows[0::2]], embeddings[rows[1::2]]
        accuracy = verify_pairs(*sides, pairs.is_genuine, folds=2).accuracy
        print(f"{name:8} accuracy over {len(pairs)} pairs, 2 folds: {accuracy:.4f}")


if __name__ == "__main__":
    main()
