"""Where a run stands, and whether another command line may go on from there."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
import json
from typing import Any

from ..checkpoints.last_state import LastState, has_last, load_last
from ..checkpoints.names import LAST, params_path
from ..config import TrainConfig, flag_of
from .schedule import needs_end
from .validation import Best

# What may change when a run goes on; everything else decides which numbers come out.
FREE_TO_CHANGE = frozenset(
    {"max_steps", "end_epoch", "verbose", "frequent", "ckpt", "target", "num_threads"}
    | {"resume", "tensorboard", "gpus", "pretrained", "prefix", "data_dir", "memory_limit"}
)


@dataclass
class Position:
    """How far a run has come: steps and verifications done, and the best scores."""

    step: int = 0
    verifications: int = 0
    best: Best = field(default_factory=Best)

    def record(self) -> dict[str, Any]:
        """Return the position as JSON takes it."""
        return dataclasses.asdict(self)

    @classmethod
    def of(cls, last: LastState, config: TrainConfig) -> Position:
        """Return the position of a run; on other targets the best is still to come."""
        record = last.record["position"]
        same = last.record["config"]["target"] == list(config.target)
        best = Best(**record["best"]) if same else Best()
        return cls(record["step"], record["verifications"], best)


def earlier_run(config: TrainConfig, num_devices: int, fingerprints: list[str]) -> LastState | None:
    """Return the last state to go on from, None for a new run.

    fingerprints: of the datasets.  Raises ValueError if there is a run that --resume was not
    given for, or if the options, the data or the number of devices would make it another run.
    """
    if not has_last(config.prefix):
        return None
    last = load_last(config.prefix)
    step = last.record["position"]["step"]
    if not config.resume:
        raise ValueError(
            f"--prefix {config.prefix} already holds a run that has come to step {step}; give "
            f"--resume to continue it, another --prefix, or delete "
            f"{params_path(config.prefix, LAST)}"
        )
    # An option younger than the last state was, in effect, at its default.
    was, now = as_record(TrainConfig()) | last.record["config"], as_record(config)
    fixed = {"max_steps", "end_epoch"} if needs_end(config) else set()
    changed = [
        f"  {flag_of(name)}: was {before}, now {now.get(name)}"
        for name, before in was.items()
        if name not in FREE_TO_CHANGE - fixed and now.get(name) != before
    ]
    if last.record["num_devices"] != num_devices:
        changed.append(f"  devices: were {last.record['num_devices']}, now {num_devices}")
    if last.record["data"] != fingerprints:
        changed.append(f"  data: was {last.record['data']}, now {fingerprints}")
    if changed:
        raise ValueError(
            "--resume continues the same run, but these options changed; give them as before, "
            "or start another --prefix from it with --pretrained "
            f"{config.prefix},{LAST}:\n" + "\n".join(changed)
        )
    return last


def as_record(config: TrainConfig) -> dict[str, Any]:
    """Return the options as they look after a round through JSON."""
    return json.loads(json.dumps(dataclasses.asdict(config)))
