"""Every loss once more, in numpy and float64, out of the command line's options and a step.

objective(point) is what a device's share of a batch minimises.  What a loss leaves without a
gradient is computed at point.still, so that differences of the objective are its gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from arcface_mxnet.config import TrainConfig
import numpy as np


@dataclass(frozen=True)
class Point:
    """x (N, D) embeddings, y (N,) identities, w (rows, D) classifier and b its bias if there
    are, classes C, the options, the step counted from 1, and the device's states before it.
    teacher (N, T) its vectors, map (T, D) what leads there, where there are."""

    x: np.ndarray
    y: np.ndarray
    w: np.ndarray | None
    b: np.ndarray | None
    classes: int
    options: TrainConfig
    step: int
    states: dict[str, np.ndarray]
    fixed: Point | None = None
    teacher: np.ndarray | None = None
    map: np.ndarray | None = None

    @property
    def still(self) -> Point:
        return self.fixed or self

    def moved(self, **arrays: np.ndarray) -> Point:
        return replace(self, fixed=self.still, **arrays)

    def pick(self, table: np.ndarray) -> np.ndarray:
        return table[np.arange(len(self.y)), self.y]

    def with_own(self, table: np.ndarray, own: np.ndarray) -> np.ndarray:
        changed = table.copy()
        changed[np.arange(len(self.y)), self.y] = own
        return changed


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def lengths(rows: np.ndarray) -> np.ndarray:
    return np.linalg.norm(rows, axis=1)


def cosines(p: Point) -> np.ndarray:
    """Return the cosine to every class, the nearest centre's where it has several, (N, C)."""
    return (unit(p.x) @ unit(p.w).T).reshape(len(p.x), p.classes, -1).max(axis=2)


def angle(cosine: np.ndarray) -> np.ndarray:
    return np.arccos(np.clip(cosine, -1 + 1e-6, 1 - 1e-6))


def growth(p: Point) -> float:
    """Return the share of the margin that --margin-warmup has reached."""
    warmup = p.options.margin_warmup
    return min(1, (p.step - 1) / warmup) if warmup else 1


def beta(p: Point) -> float:
    """Return the weight of the plain cosine in SphereFace."""
    o = p.options
    falling = max(0, p.step - 1 - o.beta_freeze)
    return max(o.beta_min, o.beta * (1 + o.gamma * falling) ** -o.power) if falling else o.beta


def arc(cosine: np.ndarray, m: float | np.ndarray) -> np.ndarray:
    """Return cos(theta + m), with the published tail where that would rise again."""
    return np.where(angle(cosine) + m < np.pi, np.cos(angle(cosine) + m), cosine - m * np.sin(m))


def arcface(p: Point) -> np.ndarray:
    c = cosines(p)
    own, m = p.pick(c), p.options.margin_m * growth(p)
    eased = np.where(own > 0, np.cos(angle(own) + m), own)
    return p.options.margin_s * p.with_own(c, eased if p.options.easy_margin else arc(own, m))


def cosface(p: Point) -> np.ndarray:
    c = cosines(p)
    s = p.options.margin_s if p.options.margin_s > 0 else lengths(p.x)[:, None]
    return s * p.with_own(c, p.pick(c) - p.options.margin_m * growth(p))


def multiplicative(p: Point) -> np.ndarray:
    c = cosines(p)
    factor = 1 + (p.options.margin_m - 1) * growth(p)
    return p.options.margin_s * p.with_own(c, np.cos(factor * angle(p.pick(c))))


def combined(p: Point) -> np.ndarray:
    c, o, g = cosines(p), p.options, growth(p)
    theta = angle(p.pick(c))
    own = np.cos((1 + (o.margin_a - 1) * g) * theta + o.margin_m * g) - o.margin_b * g
    return o.margin_s * p.with_own(c, own)


def added_angle(p: Point) -> np.ndarray:
    c = cosines(p)
    own = np.cos(angle(p.pick(c)) + p.options.margin_m * growth(p))
    return p.options.margin_s * p.with_own(c, own)


def softmax(p: Point) -> np.ndarray:
    return p.x @ p.w.T + (0 if p.b is None else p.b)


def multiple_angle(p: Point) -> np.ndarray:
    """SphereFace and its relatives, without their scale."""
    c, m = cosines(p), p.options.margin
    theta = angle(p.pick(c))
    k = np.floor(m * theta / np.pi)
    psi = (-1.0) ** k * np.cos(m * theta) - 2 * k
    return p.with_own(c, (psi + beta(p) * p.pick(c)) / (1 + beta(p)))


def sphereface(p: Point) -> np.ndarray:
    return lengths(p.x)[:, None] * multiple_angle(p)


def lsoftmax(p: Point) -> np.ndarray:
    return lengths(p.x)[:, None] * lengths(p.w) * multiple_angle(p)


def circle(p: Point) -> np.ndarray:
    m, c, still = p.options.margin_m * growth(p), cosines(p), cosines(p.still)
    others = np.maximum(still + m, 0) * (c - m)
    own = np.maximum(1 + m - p.pick(still), 0) * (p.pick(c) - (1 - m))
    return p.options.margin_s * p.with_own(others, own)


def magface_length(p: Point) -> np.ndarray:
    return np.clip(lengths(p.x), p.options.mag_min_length, p.options.mag_max_length)


def magface(p: Point) -> np.ndarray:
    c, o = cosines(p), p.options
    share = (magface_length(p) - o.mag_min_length) / (o.mag_max_length - o.mag_min_length)
    m = (o.mag_min_margin + (o.mag_max_margin - o.mag_min_margin) * share) * growth(p)
    return o.margin_s * p.with_own(c, arc(p.pick(c), m))


def adaface(p: Point) -> np.ndarray:
    c, o = cosines(p), p.options
    states = advanced(p.still)
    length = np.clip(lengths(p.still.x), 0.001, 100)
    quality = (length - states["length_mean"]) / (states["length_std"] + 1e-3)
    z, m = np.clip(o.adaface_h * quality, -1, 1), o.margin_m * growth(p)
    own = np.cos(np.clip(angle(p.pick(c)) - m * z, 1e-3, np.pi - 1e-3)) - (m + m * z)
    return o.margin_s * p.with_own(c, own)


def curricularface(p: Point) -> np.ndarray:
    c, o = cosines(p), p.options
    own = arc(p.pick(c), o.margin_m * growth(p))
    harder = c * (advanced(p.still)["curriculum"] + c)
    return o.margin_s * p.with_own(np.where(c > own[:, None], harder, c), own)


def incay(p: Point) -> float:
    """Return what --incay adds: long embeddings for what is recognised."""
    is_right = LOGITS[p.options.loss_type](p.still).argmax(axis=1) == p.y
    return p.options.incay * float(np.mean(is_right / (lengths(p.x) ** 2 + 1e-10)))


def intra(p: Point) -> float:
    return p.options.margin_b * float(np.mean(angle(p.pick(cosines(p))))) / np.pi


def inter(p: Point) -> float:
    w = unit(p.w)
    return p.options.margin_b * float(np.mean((w @ w.T)[p.y]))


def center(p: Point) -> float:
    away = p.x - p.states["fc7_centers"][p.y]
    return p.options.center_scale * float(np.mean((away**2).sum(axis=1))) / 2 + incay(p)


def magface_lengthens(p: Point) -> float:
    a = magface_length(p)
    return p.options.mag_weight * float(np.mean(1 / a + a / p.options.mag_max_length**2))


def each(p: Point, default: int) -> int:
    return p.options.images_per_identity or default


def coco(p: Point) -> float:
    groups = p.x.reshape(-1, each(p, 16), p.x.shape[1])
    logits = (np.log(p.classes - 1) / 2 + 3) * unit(p.x) @ unit(groups.mean(axis=1)).T
    return cross_entropy(logits, np.repeat(np.arange(len(groups)), groups.shape[1]))


def marginal(p: Point) -> float:
    x, n = unit(p.x), len(p.x)
    sign = np.where(p.y[:, None] == p.y, 1, -1)
    apart = ~np.eye(n, dtype=bool)
    return float(np.maximum(0.3 + sign * (2 - 2 * x @ x.T - 1.2), 0)[apart].sum()) / (n * (n - 1))


def npair(p: Point) -> float:
    x = unit(p.x)
    return cross_entropy(x[0::2] @ x[1::2].T, np.arange(len(x) // 2))


def triplet(p: Point) -> float:
    a, positive, n = np.split(unit(p.x), 3)
    near, far = ((a - positive) ** 2).sum(axis=1), ((a - n) ** 2).sum(axis=1)
    return float(np.mean(np.maximum(near - far + p.options.triplet_alpha, 0)))


def angular_triplet(p: Point) -> float:
    a, positive, n = np.split(unit(p.x), 3)
    near, far = angle((a * positive).sum(axis=1)), angle((a * n).sum(axis=1))
    return float(np.mean(np.maximum(near - far + p.options.margin_m, 0)))


def cross_entropy(logits: np.ndarray, y: np.ndarray) -> float:
    return float(-np.mean(log_softmax(logits)[np.arange(len(y)), y]))


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


# By the first key of each loss in the registry.
LOGITS: dict[str, Callable[[Point], np.ndarray]] = {
    "0": softmax, "1": sphereface, "2": cosface, "3": multiplicative, "4": arcface,
    "5": combined, "6": added_angle, "7": added_angle, "8": softmax, "adaface": adaface,
    "circle": circle, "curricularface": curricularface,
    "fnorm-sphereface": lambda p: p.options.margin_s * multiple_angle(p),
    "lsoftmax": lsoftmax, "magface": magface, "subcenter-arcface": arcface,
}  # fmt: skip
ADDED: dict[str, Callable[[Point], float]] = {
    "0": incay, "1": incay, "lsoftmax": incay, "fnorm-sphereface": incay, "8": center,
    "6": intra, "7": inter, "magface": magface_lengthens,
}  # fmt: skip
VALUES: dict[str, Callable[[Point], float]] = {
    "9": coco, "10": marginal, "11": npair, "12": triplet, "13": angular_triplet,
}  # fmt: skip


def objective(p: Point) -> float:
    """Return what the share minimises."""
    added = 0.0 if p.teacher is None else p.options.teacher_weight * distance(p)
    return own_objective(p) + added


def own_objective(p: Point) -> float:
    """Return the same without a teacher."""
    key = p.options.loss_type
    if key == "none":
        return 0.0
    if key in VALUES:
        return VALUES[key](p)
    return cross_entropy(LOGITS[key](p), p.y) + ADDED.get(key, lambda _: 0.0)(p)


def teacher_cosines(p: Point) -> np.ndarray:
    student = p.x if p.map is None else p.x @ p.map.T
    return (unit(student) * unit(p.teacher)).sum(axis=1)


def distance(p: Point) -> float:
    """Return the mean distance to the teacher."""
    factor = {"cosine": 1, "squared": 2}[p.options.teacher_loss]
    return factor * float(np.mean(1 - teacher_cosines(p)))


def starting_states(key: str, classes: int, size: int) -> dict[str, np.ndarray | float]:
    """Return the states with which a device begins."""
    return {
        "8": {"fc7_centers": np.zeros((classes, size))},
        "adaface": {"length_mean": 20.0, "length_std": 100.0},
        "curricularface": {"curriculum": 0.0},
    }.get(key, {})


def advanced(p: Point) -> dict[str, np.ndarray | float]:
    """Return the states after a share."""
    key, decay, new = p.options.loss_type, p.options.running_decay, {}
    if key == "8":
        centers = p.states["fc7_centers"]
        own = p.y == np.arange(p.classes)[:, None]  # (C, N)
        away = np.einsum("cn,cnd->cd", own, p.x[None] - centers[:, None])
        step = p.options.center_alpha * away / (1 + own.sum(axis=1))[:, None]
        return {"fc7_centers": centers + step}
    if key == "adaface":
        length = np.clip(lengths(p.x), 0.001, 100)
        new = {"length_mean": length.mean(), "length_std": length.std(ddof=1)}
    if key == "curricularface":
        new = {"curriculum": p.pick(cosines(p)).mean()}
    return {name: decay * p.states[name] + (1 - decay) * value for name, value in new.items()}
