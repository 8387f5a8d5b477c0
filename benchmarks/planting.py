"""Faults planted into the labels of real faces, and how many of them arcface-clean finds.

    python -m benchmarks.planting

A tenth of the people with four images and more are merged with another, a tenth split, and of half
of the others one image is given to another.  Thresholds were chosen on the ORL faces.  Then copies,
encoded anew, darker or scaled, under labels of others, and what of ORL counts as a duplicate though
nothing was copied.  Needs the pretrained networks and the ORL faces (arcface-fetch fetch orl sface)
and ../shared/data.
"""

from __future__ import annotations

from pathlib import Path
import tempfile

from arcface_mxnet.embedding.embedder import Embedder
import numpy as np

from tests.clean.planting import planned, plant, rates, reasons
from tests.clean.test_real_faces import copies_found, embedded, lfw_crops, orl_crops

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
MODELS = ROOT / "models"
FOUND = {"flips": "flips", "merged": "parted", "split": "joined"}


def main() -> None:
    m1 = Embedder(str(MODELS / "sface-m1,0"), batch_size=32)
    y1 = Embedder(str(SHARED / "published_y1" / "model,0"), batch_size=32)
    orl, few, everyone = orl_crops(MODELS), lfw_crops(SHARED), lfw_crops(SHARED, least=1)
    several = embedded(m1, few[0])
    orl_vectors = embedded(m1, orl[0])
    planting("ORL", orl_vectors, orl[1], seeds=5)
    planting("LFW fold 1, 4 images and more", several, few[1], seeds=5)
    planting("LFW fold 1", embedded(m1, everyone[0]), everyone[1], seeds=10)
    planting("LFW fold 1, published y1", embedded(y1, everyone[0]), everyone[1], seeds=10)
    with tempfile.TemporaryDirectory() as folder:
        copies, others = copies_found(Path(folder), m1, few[0], several, few[1])
        print(f"copies in LFW: {copies.mean():.1%} of {copies.size} found, "
              f"{others.mean():.1%} of other images taken for one")  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        faces, found = planned(Path(folder), orl_vectors, orl[1], checks=("duplicates",))
        print(f"ORL as it is: {(reasons(faces, found) != '').mean():.1%} count as duplicates")


def planting(title: str, vectors: np.ndarray, truth: np.ndarray, *, seeds: int) -> None:
    """Print what is found of the faults of all seeds together."""
    found = dict.fromkeys(FOUND, 0.0)
    planted = dict.fromkeys(FOUND, 0)
    touched = []
    for seed in range(seeds):
        labels, kinds = plant(truth, seed)
        with tempfile.TemporaryDirectory() as folder:
            faces, made = planned(Path(folder), vectors, labels, checks=("images", "merge"))
        rate = rates(faces, made, truth, kinds)
        counts = {
            "flips": int((kinds == "flip").sum()),
            "merged": len(np.unique(labels[kinds == "merged"])),
            "split": len(np.unique(truth[kinds == "split"])),
        }
        for name, kind in FOUND.items():
            planted[name] += counts[name]
            found[name] += rate[kind] * counts[name]
        touched.append(rate["false"])
    words = ", ".join(f"{name} {found[name]:.0f} of {planted[name]}" for name in FOUND)
    print(f"{title}, {len(np.unique(truth))} people, {len(truth)} photos, {seeds} seeds: {words}; "
          f"sound images touched {np.mean(touched):.2%}")  # fmt: skip


if __name__ == "__main__":
    main()
