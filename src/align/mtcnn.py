"""MtcnnDetector: faces and their five landmarks in an image.

PNet proposes boxes on every level of an image pyramid, RNet and ONet judge and correct them;
ONet also finds the landmarks.  Source: MTCNN, arXiv 1604.02878; thresholds and the handling
of boxes as in the published MXNet detector.
"""

from __future__ import annotations

from collections.abc import Iterator
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..data.images import as_bgr
from ..engines.choice import choose_engine
from .boxes import refine, sides, square, suppress
from .caps import MOST_CANDIDATES, best_candidates, most_certain
from .face import Face
from .landmarks import LNET_SIDE, refine_landmarks
from .network_input import cut, normalised
from .networks import DetectorNetwork, open_network
from .shapes import enlarged, filled_up
from .trust import Trust

WINDOW, STRIDE = 12, 2  # pixels of a level that one PNet cell looks at; between two cells
RNET_SIDE, ONET_SIDE = 24, 48  # pixels, of what they look at
TILE = 256  # larger levels are searched in tiles: less memory, and faster within the cache
BATCH = 128  # candidates in one pass of RNet or ONet
# Limited mode trusts that a face is there.  Source: the published face model.
LIMITED_THRESHOLDS = (0.0, 0.2)
FORCED_SCORE = 0.3  # Source: the published MegaFace alignment.
# ONet counts from the edge of the first pixel, images (and cv2.warpAffine) from its centre.  The
# published detector left that out: a mirrored or enlarged photo had its landmarks elsewhere.
TO_PIXEL_CENTRES = -0.5


class MtcnnDetector:
    """A detector, safe to share between threads.

    ctx: where its networks run, as choose_engine takes it; None is the CPU.
    min_size: pixels, smallest face looked for.  thresholds: scores that a candidate must
    exceed after PNet, RNet and ONet, 0..1.  factor: from one pyramid level to the next.
    model_dir: folder with the checkpoints det1, det2, det3, number 1; the published ones do.
    accurate_landmarks: correct each landmark by LNet, det4 in the same folder.  engine: what runs
    them, as choose_engine.  most_candidates: of one image, that RNet looks at, and ONet; those of
    best score, and it is said.
    Raises FileNotFoundError if they are absent, ValueError for options out of range.
    """

    # Chosen on people A to K of LFW's fold 1; benchmarks/turned.py reports on L to Z.
    trust = Trust(sure=0.9995, least=0.95, ahead=0.0005)

    def __init__(
        self,
        ctx: Any = None,
        *,
        min_size: int = 20,
        thresholds: tuple[float, float, float] = (0.6, 0.7, 0.8),
        factor: float = 0.709,
        model_dir: str | os.PathLike = "models/mtcnn",
        accurate_landmarks: bool = False,
        engine: str = "auto",
        most_candidates: tuple[int, int] = MOST_CANDIDATES,
    ):
        if min_size < 1 or not 0 < factor < 1 or len(thresholds) != 3:
            raise ValueError(
                f"min_size {min_size}, factor {factor}, thresholds {thresholds}: give at least 1, "
                "a number between 0 and 1, and three scores"
            )
        chosen = choose_engine("", engine, ctx)
        if not self.is_in(model_dir):
            raise FileNotFoundError(
                f"no detector in {Path(model_dir).absolute()}; "
                "fetch it with `arcface-fetch fetch mtcnn`, or name the folder of det1 to det3"
            )
        self.min_size, self.thresholds, self.factor = min_size, thresholds, factor
        self._most = most_candidates
        self._pnet, self._rnet, self._onet = (
            open_network(f"{model_dir}/det{number},1", chosen, side and (side, side))
            for number, side in ((1, None), (2, RNET_SIDE), (3, ONET_SIDE))
        )
        self._lnet = None
        if accurate_landmarks:
            self._lnet = open_network(f"{model_dir}/det4,1", chosen, (LNET_SIDE, LNET_SIDE))

    @staticmethod
    def is_in(folder: str | os.PathLike) -> bool:
        """Tell whether a folder holds the networks of this detector."""
        return (Path(folder) / "det1-symbol.json").is_file()

    def detect(self, image: np.ndarray) -> list[Face]:
        """Return all faces of an image, best score first.

        image: any size; BGR, BGRA or grey, uint8 or uint16.  Raises ValueError for another.
        """
        bgr = as_bgr(image)
        boxes = self._judge(bgr, self._propose(bgr), self.thresholds[1])
        return most_certain(self._locate(bgr, boxes, self.thresholds[2]))

    def detect_limited(self, image: np.ndarray, *, judge: bool = True) -> list[Face]:
        """Return the face of an image that is one face box already, as an empty or longer list.

        judge: let RNet correct the box first.  Source: the published deploy/test.py.
        """
        bgr = as_bgr(image)
        height, width = bgr.shape[:2]
        boxes = np.array([[0, 0, width - 1, height - 1]], float)
        if judge:
            boxes = self._judge(bgr, boxes, LIMITED_THRESHOLDS[0])
        return self._locate(bgr, boxes, LIMITED_THRESHOLDS[1])

    def detect_in_box(
        self, image: np.ndarray, box: np.ndarray, *, min_score: float = FORCED_SCORE
    ) -> Face | None:
        """Return the face that ONet finds in a given box, or None below min_score.

        box: x1, y1, x2, y2 in pixels.  Source: the published MegaFace alignment.
        """
        faces = self._locate(as_bgr(image), square(np.array([box], float)), min_score)
        return faces[0] if faces else None

    def _propose(self, bgr: np.ndarray) -> np.ndarray:
        """Stage 1: return the squares (N, 4) that PNet takes for faces."""
        found = [np.zeros((0, 9))]
        for scale in pyramid(bgr.shape, self.min_size, self.factor):
            for tile, corner in _tiles(bgr, scale):
                larger, (top, left) = enlarged(tile)
                outputs = self._pnet.run(normalised([larger]))
                cells = np.s_[:, :, top // STRIDE :, left // STRIDE :]  # of the tile
                outputs = _by_channels([output[cells] for output in outputs])
                windows = _windows(outputs, corner, scale, self.thresholds[0])
                found.append(windows[suppress(windows[:, :4], windows[:, 4], 0.5)])
        windows = np.concatenate(found)
        windows = windows[best_candidates(windows[:, :4], windows[:, 4], self._most[0])]
        return square(refine(windows[:, :4], windows[:, 5:]))

    def _judge(self, bgr: np.ndarray, boxes: np.ndarray, threshold: float) -> np.ndarray:
        """Stage 2: return the squares that RNet still takes for faces, corrected."""
        outputs = _in_batches(self._rnet, bgr, boxes, RNET_SIDE)
        passed = outputs[2][:, 1] > threshold
        boxes, scores, regression = boxes[passed], outputs[2][passed, 1], outputs[4][passed]
        kept = best_candidates(boxes, scores, self._most[1])
        return square(refine(boxes[kept], regression[kept]))

    def _locate(self, bgr: np.ndarray, boxes: np.ndarray, threshold: float) -> list[Face]:
        """Stage 3: return the faces, with landmarks, that ONet finds in the boxes."""
        outputs = _in_batches(self._onet, bgr, boxes, ONET_SIDE)
        passed = outputs[2][:, 1] > threshold
        boxes, scores, regression = boxes[passed], outputs[2][passed, 1], outputs[4][passed]
        points = outputs[10][passed].reshape(-1, 2, 5).transpose(0, 2, 1)  # (N, 5, 2), 0..1
        points = boxes[:, None, :2] + points * sides(boxes)[:, None]
        boxes = refine(boxes, regression)
        if self._lnet is not None:
            points = refine_landmarks(self._lnet, bgr, boxes, points)
        points = points + TO_PIXEL_CENTRES
        return [
            Face(boxes[i].astype(np.float32), points[i].astype(np.float32), float(scores[i]))
            for i in suppress(boxes, scores, 0.7, by_smaller=True)
        ]


def pyramid(shape: tuple[int, ...], min_size: int, factor: float) -> Iterator[float]:
    """Yield the scales at which faces from min_size pixels up to the whole image fit PNet."""
    scale = WINDOW / min_size
    while min(shape[:2]) * scale > WINDOW:
        yield scale
        scale *= factor


def _tiles(bgr: np.ndarray, scale: float) -> Iterator[tuple[np.ndarray, tuple[int, int]]]:
    """Yield the parts of one pyramid level, each with its corner (x, y) in the level."""
    height, width = (int(np.ceil(side * scale)) for side in bgr.shape[:2])
    level = cv2.resize(bgr, (width, height))
    step = TILE - WINDOW + STRIDE  # the next tile begins at the next cell
    for y in range(0, max(height - WINDOW, 0) + 1, step):
        for x in range(0, max(width - WINDOW, 0) + 1, step):
            yield level[y : y + TILE, x : x + TILE], (x, y)


def _windows(
    outputs: dict[int, np.ndarray], corner: tuple[int, int], scale: float, threshold: float
) -> np.ndarray:
    """Return the cells of a tile above threshold: (N, 9) of box, score, regression."""
    scores = outputs[2][0, 1]
    rows, columns = np.nonzero(scores > threshold)
    low = STRIDE * np.stack([columns, rows], 1) + corner  # (N, 2), x and y in the level
    # As published: a window reaches from one past its first pixel to one past its end.
    low, high = np.rint((low + 1) / scale), np.rint((low + 1 + WINDOW) / scale)
    score, regression = scores[rows, columns, None], outputs[4][0, :, rows, columns]
    return np.hstack([low, high, score, regression])


def _in_batches(
    network: DetectorNetwork, bgr: np.ndarray, boxes: np.ndarray, size: int
) -> dict[int, np.ndarray]:
    """Return the outputs of a network for the image in each box, brought to size x size."""
    parts = []
    for i in range(0, len(boxes), BATCH):
        batch = normalised([cut(bgr, box, size) for box in boxes[i : i + BATCH]])
        outputs = network.run(filled_up(batch))
        parts.append(_by_channels([output[: len(batch)] for output in outputs]))
    if not parts:
        return {channels: np.zeros((0, channels)) for channels in (2, 4, 10)}
    return {channels: np.concatenate([part[channels] for part in parts]) for channels in parts[0]}


def _by_channels(outputs: list[np.ndarray]) -> dict[int, np.ndarray]:
    """Return the outputs by what they are, whatever their order in a checkpoint.

    2 channels are probabilities, 4 a box regression, 10 landmarks.
    """
    found = {output.shape[1]: output for output in outputs}
    if not {2, 4} <= found.keys():
        raise ValueError(
            f"the detector's outputs have {', '.join(map(str, found))} channels; det1 to det3 give "
            "2 (probabilities), 4 (boxes) and 10 (landmarks): another network under their name?"
        )
    return found
