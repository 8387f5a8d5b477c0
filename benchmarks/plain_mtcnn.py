"""A plain port of MTCNN: level by level, one candidate at a time, the stock operators.

It is what the detector is compared with, in speed and, in its test, in what it finds.  It is
not slowed down on purpose: networks are bound once per shape.
"""

from __future__ import annotations

from arcface_mxnet.checkpoints.load import load_checkpoint
import cv2
import mxnet as mx
import numpy as np


class PlainDetector:
    """detect(bgr) -> list of (box (4,), landmarks (5, 2), score), best score first."""

    def __init__(self, model_dir, min_size=20, thresholds=(0.6, 0.7, 0.8), factor=0.709):
        self.networks = [load_checkpoint(f"{model_dir}/det{number},1") for number in (1, 2, 3)]
        self.min_size, self.thresholds, self.factor = min_size, thresholds, factor
        self.executors = {}

    def run(self, number, image):
        """Return {channels: output} of one network for one uint8 image."""
        data = ((image.astype(np.float32) - 127.5) * 0.0078125).transpose(2, 0, 1)[None]
        key = number, data.shape
        if key not in self.executors:
            symbol, arguments, states = self.networks[number]
            executor = symbol.simple_bind(mx.cpu(), grad_req="null", data=data.shape)
            executor.copy_params_from(arguments, states)
            self.executors[key] = executor
        outputs = self.executors[key].forward(is_train=False, data=mx.nd.array(data))
        return {output.shape[1]: output.asnumpy() for output in outputs}

    def detect(self, bgr):
        candidates = []
        scale = 12 / self.min_size
        while min(bgr.shape[:2]) * scale > 12:
            candidates += suppress(self.propose(bgr, scale), 0.5)
            scale *= self.factor
        boxes = [squared(moved(box, reg)) for box, _, reg in suppress(candidates, 0.7)]

        candidates = []
        for box in boxes:
            output = self.run(1, cut(bgr, box, 24))
            if output[2][0, 1] > self.thresholds[1]:
                candidates.append((box, output[2][0, 1], output[4][0]))
        boxes = [squared(moved(box, reg)) for box, _, reg in suppress(candidates, 0.7)]

        faces = []
        for box in boxes:
            output = self.run(2, cut(bgr, box, 48))
            if output[2][0, 1] > self.thresholds[2]:
                width, height = box[2] - box[0] + 1, box[3] - box[1] + 1
                points = output[10][0]
                landmarks = [
                    (box[0] + width * points[i], box[1] + height * points[5 + i]) for i in range(5)
                ]
                faces.append((moved(box, output[4][0]), output[2][0, 1], landmarks))
        kept = suppress(faces, 0.7, by_smaller=True)
        return [(np.array(box), np.array(points), score) for box, score, points in kept]

    def propose(self, bgr, scale):
        height, width = (int(np.ceil(side * scale)) for side in bgr.shape[:2])
        output = self.run(0, cv2.resize(bgr, (width, height)))
        found = []
        for row, column in np.argwhere(output[2][0, 1] > self.thresholds[0]):
            corners = 2 * column + 1, 2 * row + 1, 2 * column + 13, 2 * row + 13
            box = [float(np.round(corner / scale)) for corner in corners]
            found.append((box, output[2][0, 1, row, column], output[4][0, :, row, column]))
        return found


def suppress(candidates, threshold, by_smaller=False):
    candidates = sorted(candidates, key=lambda c: -c[1])
    boxes = np.array([candidate[0] for candidate in candidates]).reshape(-1, 4)
    areas = (boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1)
    rest, kept = np.arange(len(boxes)), []
    while len(rest):
        best, rest = rest[0], rest[1:]
        kept.append(candidates[best])
        low = np.maximum(boxes[best, :2], boxes[rest, :2])
        high = np.minimum(boxes[best, 2:], boxes[rest, 2:])
        shared = np.maximum(high - low + 1, 0).prod(1)
        smaller = np.minimum(areas[best], areas[rest])
        whole = smaller if by_smaller else areas[best] + areas[rest] - shared
        rest = rest[shared / whole <= threshold]
    return kept


def moved(box, regression):
    width, height = box[2] - box[0] + 1, box[3] - box[1] + 1
    return [
        side + step * length
        for side, step, length in zip(box, regression, (width, height) * 2, strict=True)
    ]


def squared(box):
    width, height = box[2] - box[0] + 1, box[3] - box[1] + 1
    side = max(width, height)
    x, y = box[0] + (width - side) / 2, box[1] + (height - side) / 2
    return [float(np.round(value)) for value in (x, y, x + side - 1, y + side - 1)]


def cut(bgr, box, size):
    x1, y1, x2, y2 = (int(value) for value in box)
    canvas = np.zeros((y2 - y1 + 1, x2 - x1 + 1, 3), np.uint8)
    top, bottom = max(y1, 0), min(y2 + 1, bgr.shape[0])
    left, right = max(x1, 0), min(x2 + 1, bgr.shape[1])
    if top < bottom and left < right:
        canvas[top - y1 : bottom - y1, left - x1 : right - x1] = bgr[top:bottom, left:right]
    return cv2.resize(canvas, (size, size))
