"""Semi-hard mining of a bag of 3,600 embeddings of 512 numbers, 720 identities with 5 images.

    python -m benchmarks.mining

Ours beside the bare matrix product (what no method with exact distances can undercut) and a
plain numpy loop over the pairs, alternating in one run; and the memory that mining takes more.
"""

from __future__ import annotations

from pathlib import Path

from arcface_mxnet.batches.mining import mine
import mxnet as mx
import numpy as np

from .timing import alternate

NUM_IDENTITIES, IMAGES_EACH, DIM = 720, 5, 512
ALPHA = 0.3
SPREAD = 1.2  # of an identity about its centre: 1,300 of 7,200 pairs have candidates


def main() -> None:
    embeddings, identities = bag()
    there = mx.nd.array(embeddings)
    unit = mx.nd.L2Normalization(there)
    product(unit)
    before = peak_mib()
    triplets = ours(there, identities)
    memory = peak_mib() - before
    looped = loop(embeddings, identities)
    seconds = alternate(
        {
            "product": lambda: product(unit),
            "ours": lambda: ours(there, identities),
            "loop": lambda: loop(embeddings, identities),
        },
        rounds=3,
    )
    print(f"bag {len(identities)} x {DIM}, {NUM_IDENTITIES} identities x {IMAGES_EACH}")
    print(f"triplets: ours {len(triplets)}, loop {len(looped)} (pairs with a candidate)")
    print(f"matrix product alone     {seconds['product']:6.3f} s")
    print(f"ours                     {seconds['ours']:6.3f} s, {memory:.0f} MiB more memory")
    print(
        f"plain numpy loop         {seconds['loop']:6.3f} s, "
        f"{seconds['loop'] / seconds['ours']:.1f} times ours"
    )


def bag() -> tuple[np.ndarray, np.ndarray]:
    """Return embeddings (N, D) around random centres that lie in pairs, and identities (N,)."""
    rng = np.random.default_rng(0)
    identities = np.repeat(np.arange(NUM_IDENTITIES), IMAGES_EACH)
    centres = np.repeat(rng.normal(size=(NUM_IDENTITIES // 2, DIM)), 2, axis=0)
    centres += 0.6 * rng.normal(size=centres.shape)
    noise = SPREAD * rng.normal(size=(len(identities), DIM))
    return (centres[identities] + noise).astype(np.float32), identities


def product(unit: mx.nd.NDArray) -> None:
    mx.nd.FullyConnected(unit, unit, no_bias=True, num_hidden=len(unit)).wait_to_read()


def ours(embeddings: mx.nd.NDArray, identities: np.ndarray) -> np.ndarray:
    return mine(embeddings, identities, ALPHA, 0.0, np.random.default_rng(0)).triplets


def loop(embeddings: np.ndarray, identities: np.ndarray) -> list[tuple[int, int, int]]:
    """Mine as the published sampler does: a row of distances per anchor, a loop over pairs."""
    rng = np.random.default_rng(0)
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    triplets = []
    for anchor in range(len(unit)):
        others = np.flatnonzero(identities[anchor + 1 :] == identities[anchor]) + anchor + 1
        if len(others) == 0:
            continue
        distances = np.sum((unit - unit[anchor]) ** 2, axis=1)
        d_ap = distances[others]
        distances[identities == identities[anchor]] = np.nan
        for positive, distance in zip(others, d_ap, strict=True):
            candidates = np.flatnonzero((distances > distance) & (distances - distance < ALPHA))
            if len(candidates):
                triplets.append((anchor, positive, rng.choice(candidates)))
    return triplets


def peak_mib() -> float:
    """Return the largest memory that this process has held, in MiB (0 where unknown)."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0.0
    line = next(row for row in status.read_text().splitlines() if row.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
