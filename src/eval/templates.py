"""Templates of several images: how IJB's features become one vector per template, and 1:N.

A template is a set of images of one person; images of one medium (a video) belong together.
As published: an image's feature may keep its norm, may be multiplied by the score of the face
detector; media are averaged over their images, templates are the sum over their media, and
only then of unit length.

The published scripts name these switches N, D and F with 0 and 1, and N means the opposite in
two of them.  Here each switch says what it does:

    norm    "keep": a feature's length counts in the sums; "unit": every image counts alike
    detector_score   True: features are multiplied by it
    flip    True: plain + flipped embedding; False: the plain one
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..embedding.vectors import unit_rows
from .scores import is_supported, may_pass

NORMS = ("keep", "unit")
PAIRS_AT_ONCE = 512  # both sides stay in the cache: twice as fast as 8192
PROBES_AT_ONCE = 8192


@dataclass(frozen=True)
class TemplateOptions:
    """The switches of the aggregation; the defaults are the published ones (N0D1F1 of the
    newer published script, N1D1F1 of the older one)."""

    norm: str = "keep"
    detector_score: bool = True
    flip: bool = True

    def __post_init__(self) -> None:
        if self.norm not in NORMS:
            raise ValueError(f"norm {self.norm!r}: known are {', '.join(NORMS)}")

    def describe(self) -> str:
        """Return the switches in words, for tables."""
        score = "detector score" if self.detector_score else "no detector score"
        return f"{self.norm} norm, {score}, {'flip sum' if self.flip else 'no flip'}"


class TemplateSums:
    """Adds up images block by block; memory is one row per medium, whatever the images are.

    template_ids, media_ids: int (N,) of every image.  detector_scores: float (N,).
    """

    def __init__(
        self,
        template_ids: np.ndarray,
        media_ids: np.ndarray,
        detector_scores: np.ndarray,
        options: TemplateOptions,
    ):
        self.options = options
        self.detector_scores = np.asarray(detector_scores, dtype=np.float32)
        if options.detector_score and self.detector_scores.min(initial=0) < 0:
            row = int(np.argmin(self.detector_scores))
            raise ValueError(
                f"image {row} has the detector score {self.detector_scores[row]:g}: below 0 it "
                "would turn the embedding round; bring other scores, or leave them out "
                "(--detector-score 0)"
            )
        keys = np.stack([template_ids, media_ids], axis=1)
        media, self._medium_of_image, images = np.unique(
            keys, axis=0, return_inverse=True, return_counts=True
        )
        self._medium_of_image = self._medium_of_image.ravel()
        self._images_of_medium = images
        self.template_ids, self._first_medium = np.unique(media[:, 0], return_index=True)
        self._sums: np.ndarray | None = None

    def add(self, start: int, plain: np.ndarray, flipped: np.ndarray | None = None) -> None:
        """Add the raw embeddings float32 (n, D) of images start to start + n - 1."""
        features = plain + flipped if self.options.flip else np.array(plain)
        rows = slice(start, start + len(features))
        if self.options.norm == "unit":
            features = unit_rows(features)
        if self.options.detector_score:
            features *= self.detector_scores[rows, None]
        if self._sums is None:
            self._sums = np.zeros((len(self._images_of_medium), features.shape[1]), np.float32)
        media = self._medium_of_image[rows]
        order = np.argsort(media, kind="stable")
        present, first = np.unique(media[order], return_index=True)
        self._sums[present] += np.add.reduceat(features[order], first, axis=0)

    def templates(self) -> tuple[np.ndarray, np.ndarray]:
        """Return (template ids ascending (T,), unit features float32 (T, D)).

        Call it once, when all images are added.
        """
        if self._sums is None:
            raise ValueError("no images were added")
        self._sums /= self._images_of_medium[:, None]
        sums = np.add.reduceat(self._sums, self._first_medium, axis=0)
        self._sums = None
        lengths = np.linalg.norm(sums.astype(np.float64), axis=1)
        if len(bad := np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))):
            raise ValueError(
                f"{len(bad)} templates, such as {self.template_ids[bad[0]]}, have no direction: "
                "their images add up to zeros, as with detector scores of 0, or to what is not "
                "finite"
            )
        return self.template_ids, unit_rows(sums, np.float64).astype(np.float32)


def pair_cosines(
    features: np.ndarray, template_ids: np.ndarray, left: np.ndarray, right: np.ndarray
) -> np.ndarray:
    """Return the cosine of each pair of templates, float32 (P,).

    features: unit (T, D) of template_ids, ascending.  left, right: template ids (P,).
    Raises ValueError naming a template without features.
    """
    rows = [rows_of(ids, template_ids, "template") for ids in (left, right)]
    cosines = np.empty(len(left), np.float32)
    for start in range(0, len(left), PAIRS_AT_ONCE):
        part = slice(start, start + PAIRS_AT_ONCE)
        np.einsum("pd,pd->p", features[rows[0][part]], features[rows[1][part]], out=cosines[part])
    return cosines


def rows_of(ids: np.ndarray, ascending: np.ndarray, noun: str) -> np.ndarray:
    """Return the row of each id in an ascending array.  Raises ValueError naming a missing one."""
    ids = np.asarray(ids)
    rows = np.minimum(np.searchsorted(ascending, ids), len(ascending) - 1)
    absent = ascending[rows] != ids
    if absent.any():
        raise ValueError(
            f"{int(absent.sum())} {noun}s have no images, such as {ids[np.argmax(absent)]}"
        )
    return rows


@dataclass(frozen=True)
class SearchResult:
    """1:N rates of one gallery, or means over galleries: fractions.

    rank_rates: {k: share of mated probes with their subject among the k nearest}.
    tpir: {fpir: share of mated probes found first and above the threshold}; the threshold lets
    that share of unmated probes through.  None where they are too few.
    """

    rank_rates: dict[int, float]
    tpir: dict[float, float | None]
    num_mated: int
    num_unmated: int


def search(
    probes: np.ndarray,
    probe_subjects: np.ndarray,
    gallery: np.ndarray,
    gallery_subjects: np.ndarray,
    *,
    ranks: Sequence[int] = (1, 5, 10),
    fpirs: Sequence[float] = (0.01, 0.1),
) -> SearchResult:
    """Return the open-set identification rates of unit features (P, D) in a gallery (G, D).

    A probe whose subject is in the gallery is mated; the others are the impostors, each by its
    highest score.  A rank counts gallery subjects that are nearer than the mate, or as near.
    Raises ValueError if the gallery has a subject twice or no probe is mated.
    """
    order = np.argsort(gallery_subjects)
    subjects = np.asarray(gallery_subjects)[order]
    if (subjects[1:] == subjects[:-1]).any():
        raise ValueError("a subject has two templates in the gallery; one is expected")
    gallery = gallery[order]
    place = np.minimum(np.searchsorted(subjects, probe_subjects), len(subjects) - 1)
    is_mated = subjects[place] == probe_subjects
    if not is_mated.any():
        raise ValueError("no probe has its subject in the gallery")
    nearer = np.empty(len(probes), np.int64)
    # The type of the scores: a rounded mate would lie below itself.
    mate = np.empty(len(probes), np.result_type(probes, gallery))
    best = np.empty_like(mate)
    for start in range(0, len(probes), PROBES_AT_ONCE):
        rows = slice(start, start + PROBES_AT_ONCE)
        scores = probes[rows] @ gallery.T  # (n, G)
        mate[rows] = scores[np.arange(len(scores)), place[rows]]
        nearer[rows] = (scores >= mate[rows, None]).sum(axis=1) - 1  # without the mate itself
        best[rows] = scores.max(axis=1)
    nearer, mate, strangers = nearer[is_mated], mate[is_mated], np.sort(best[~is_mated])[::-1]
    return SearchResult(
        rank_rates={rank: float((nearer < rank).mean()) for rank in ranks},
        tpir={fpir: _tpir(nearer == 0, mate, strangers, fpir) for fpir in fpirs},
        num_mated=int(is_mated.sum()),
        num_unmated=int((~is_mated).sum()),
    )


def _tpir(
    is_first: np.ndarray, mate: np.ndarray, strangers: np.ndarray, fpir: float
) -> float | None:
    if not is_supported(fpir, len(strangers)):
        return None
    passing = may_pass(fpir, len(strangers))
    refused = strangers[passing] if passing < len(strangers) else -np.inf
    return float((is_first & (mate > refused)).mean())


def mean_result(results: Sequence[SearchResult]) -> SearchResult:
    """Return the mean over galleries, each searched by itself."""

    def mean(values: list[float | None]) -> float | None:
        return None if None in values else float(np.mean(values))

    return SearchResult(
        rank_rates={k: mean([r.rank_rates[k] for r in results]) for k in results[0].rank_rates},
        tpir={f: mean([r.tpir[f] for r in results]) for f in results[0].tpir},
        num_mated=sum(result.num_mated for result in results),
        num_unmated=sum(result.num_unmated for result in results),
    )
