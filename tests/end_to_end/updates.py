"""What the updates of a run must have been: rates, gradients and optimizers in numpy.

Arrays are followed whose part in an embedding or a logit is known without the network: fc1_beta,
the shift of every embedding, some entries of the classifier, and of the map to a teacher.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
import math

from arcface_mxnet.config import TrainConfig
from arcface_mxnet.losses import LOSSES
import numpy as np

from tests.end_to_end.commands import Share, Step, Trained
from tests.end_to_end.formulas import Point, advanced, objective, starting_states

ENTRIES = 12  # of the classifier that are followed
NUDGE = 1e-5  # of differences
# The arrays -> the fields of a Point that move with them.
FOLLOWED = {"fc1_beta": "x", "fc7_weight": "w", "teacher_map_weight": "map"}


def first_key(loss_type: str) -> str:
    """Return the key under which the formulas stand."""
    return LOSSES.keys_of(LOSSES[loss_type])[0]


def rate(o: TrainConfig, step: int, last_step: int) -> float:
    """Return the learning rate of a step, counted from 1."""
    left = min(1, (last_step - step + 1) / max(1, last_step - o.lr_warmup))
    is_delayed = first_key(o.loss_type) in ("1", "lsoftmax", "fnorm-sphereface")
    delay = o.beta_freeze if is_delayed else 0
    share = {
        "step": 0.1 ** sum(step > drop + delay for drop in o.lr_steps),
        "cosine": (1 - math.cos(math.pi * left)) / 2,
        "poly": left**o.lr_power,
    }[o.lr_schedule]
    return o.lr * share * min(1, step / o.lr_warmup if o.lr_warmup else 1)


@dataclass
class Rule:
    """One array's update by --optimizer, with what is kept between updates."""

    options: TrainConfig
    lr_mult: float
    wd_mult: float
    kept: list[np.ndarray | float] = field(default_factory=lambda: [0.0, 0.0])
    count: int = 0

    def step(self, weight: np.ndarray, gradient: np.ndarray, lr: float) -> np.ndarray:
        """Return by how much the array moves."""
        o, lr, wd = self.options, lr * self.lr_mult, self.options.wd * self.wd_mult
        self.count += 1
        if o.optimizer == "sgd":
            self.kept[0] = o.mom * self.kept[0] - lr * (gradient + wd * weight)
            return self.kept[0]
        assert o.optimizer == "adamw", f"write the rule of {o.optimizer} here"
        for i, (share, value) in enumerate([(o.adam_beta1, gradient), (o.adam_beta2, gradient**2)]):
            self.kept[i] = share * self.kept[i] + (1 - share) * value
        mean = self.kept[0] / (1 - o.adam_beta1**self.count)
        root = np.sqrt(self.kept[1] / (1 - o.adam_beta2**self.count))
        return -lr * (mean / (root + o.adam_epsilon) + wd * weight)


def points(run: Trained) -> Iterator[tuple[Step, list[Point]]]:
    """Yield each step with its shares as the formulas want them."""
    options = replace(run.config, loss_type=first_key(run.config.loss_type))
    states: dict[int, dict] = {}
    for number, step in enumerate(run.steps, start=1):
        found = []
        for share in step.shares:
            p = point(run, share, step, number, options, states.get(share.device))
            states[share.device] = advanced(p)
            found.append(p)
        yield step, found


def point(
    run: Trained, share: Share, step: Step, number: int, options: TrainConfig, states: dict | None
) -> Point:
    x = share.embedding.astype(np.float64)
    classes = run.record["data"][0]["identities"]
    if states is None:
        states = starting_states(options.loss_type, classes, x.shape[1])
    w, b = (step.before.get(f"fc7_{name}") for name in ("weight", "bias"))
    w, b = (None if a is None else a.astype(np.float64) for a in (w, b))
    more = {"teacher": share.teacher, "map": step.before.get("teacher_map_weight")}
    more = {name: None if a is None else a.astype(np.float64) for name, a in more.items()}
    return Point(x, share.label, w, b, classes, options, number, states, **more)


def gradient(parts: list[Point], name: str, place: tuple[int, ...]) -> float:
    """Return the slope of the mean objective of all shares by one entry of an array."""
    slope = 0.0
    for p in parts:
        ends = []
        for sign in (1, -1):
            array = getattr(p, FOLLOWED[name]).copy()
            array[(slice(None), *place) if name == "fc1_beta" else place] += sign * NUDGE
            ends.append(objective(p.moved(**{FOLLOWED[name]: array})))
        slope += (ends[0] - ends[1]) / (2 * NUDGE) / len(parts)
    return slope


def assert_updates(run: Trained, *, last_step: int | None = None) -> None:
    """Assert that every step moved the arrays as --optimizer, --lr and the loss say.

    last_step: where a schedule ends.
    """
    o = run.config
    assert o.grad_clip == 0, "the norm of all gradients is not known here"
    spared = o.apply_mult == 1
    rules = {"fc1_beta": Rule(o, 1, 0 if spared else 1)}
    if "fc7_weight" in run.steps[0].before:
        rules["fc7_weight"] = Rule(
            o, o.fc7_lr_mult if spared else 1, o.fc7_wd_mult if spared else 1
        )
    if "teacher_map_weight" in run.steps[0].before:
        rules["teacher_map_weight"] = Rule(o, 1, 1)
    rng = np.random.default_rng(0)
    places = {
        name: [tuple(rng.integers(0, run.steps[0].before[name].shape)) for _ in range(ENTRIES)]
        for name in rules
    }
    for number, (step, parts) in enumerate(points(run), start=1):
        assert len(parts) == o.accumulate * run.devices
        lr = rate(o, number, last_step or len(run.steps))
        for name, rule in rules.items():
            at = tuple(zip(*places[name], strict=True))
            slopes = np.array([gradient(parts, name, place) for place in places[name]])
            wanted = rule.step(step.before[name][at].astype(np.float64), slopes, lr)
            found = step.moved(name)[at]
            np.testing.assert_allclose(
                found, wanted, rtol=2e-3, atol=2e-3 * np.abs(wanted).max() + 1e-9,
                err_msg=f"{name} in step {number} of {' '.join(run.argv)}",
            )  # fmt: skip
            assert np.abs(wanted).max() > 0, f"{name} does not move in step {number}"
