"""Where a run stands, and whether another command line may go on from there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
import dataclasses
from dataclasses import dataclass, field
import json
from typing import Any

import numpy as np

from ..checkpoints.last_state import LastState, has_last, read_last
from ..checkpoints.names import LAST, params_path
from ..checkpoints.network import CLASSIFIER_PREFIX
from ..config import TrainConfig, flag_of
from ..data.dataset import is_same_data
from ..limits import shown
from .schedule import needs_end
from .validation import Best

# What may change when a run goes on; everything else decides which numbers come out.
FREE_TO_CHANGE = frozenset(
    {"max_steps", "end_epoch", "verbose", "frequent", "ckpt", "target", "num_threads"}
    | {"resume", "tensorboard", "gpus", "pretrained", "new_head", "prefix", "data_dir"}
    | {"memory_limit", "max_bad", "teacher", "engine", "compile", "train_symbol", "plan_only"}
    | {"classifier_memory", "classifier_save"}
)
# What may change besides where another number of processes goes on.
OF_A_BATCH = frozenset({"per_batch_size", "accumulate"})


SAME_RESULTS = frozenset({"dense", "sharded"})


@dataclass
class Position:
    """How far a run has come: steps and verifications done, the best scores, and images seen.

    Steps are updates, of whatever number of images; the schedule goes by the images.
    """

    step: int = 0
    verifications: int = 0
    best: Best = field(default_factory=Best)
    images: int = 0

    def record(self) -> dict[str, Any]:
        """Return the position as JSON takes it."""
        return dataclasses.asdict(self)

    @classmethod
    def of(cls, last: LastState, config: TrainConfig) -> Position:
        """Return the position of a run; on other targets the best is still to come."""
        record = last.record["position"]
        same = last.record["config"]["target"] == list(config.target)
        best = record["best"]
        best = Best(best["accuracy"], best["total"]) if same else Best()
        images = record.get("images", record["step"] * images_per_step(last.record))
        return cls(record["step"], record["verifications"], best, images)


def images_per_step(record: dict[str, Any]) -> int:
    """Return how many images made a step of the run that left this record."""
    machines = record.get("num_machines") or 1
    accumulate = record["config"].get("accumulate") or 1
    return max(1, record["batches"]["images_per_batch"] * accumulate * machines)


def replicas(record: dict[str, Any]) -> int:
    """Return how many devices of all machines together left this record."""
    return record["num_devices"] * (record.get("num_machines") or 1)


def images_of_a_step(earlier: LastState | None, now: int) -> int:
    """Return how many images a step stands for in the options that count steps: as many as made one
    when the run began.  now: as many as make one of this run."""
    if not earlier:
        return now
    return earlier.record.get("images_of_a_step") or images_per_step(earlier.record)


def earlier_run(
    config: TrainConfig,
    num_devices: int,
    num_machines: int,
    fingerprints: list[str],
    teacher: str = "",
    *,
    is_elastic: bool = False,
) -> LastState | None:
    """Return the last state to go on from, None for a new run.

    num_devices: of each machine.  fingerprints: of the datasets.  teacher: its fingerprint.
    is_elastic: any number of machines may go on, and then with other batches.  Raises ValueError if
    there is a
    run that --resume was not given for, or if the options, the data or the number of devices or
    machines would make it another run.
    """
    if not has_last(config.prefix):
        return None
    last = read_last(config.prefix)
    check_record(last.record, str(params_path(config.prefix, LAST)))
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
    is_moved = is_elastic and replicas(last.record) != num_devices * num_machines
    free = FREE_TO_CHANGE - fixed | (OF_A_BATCH if is_moved else frozenset())
    # A classifier that is sharded computes what a dense one does.
    if {was["classifier"], now["classifier"]} <= SAME_RESULTS:
        free |= {"classifier"}
    changed = [
        f"  {_flag(name)}: was {before}, now {now.get(name)}"
        for name, before in was.items()
        if name not in free and now.get(name) != before
    ]
    if is_elastic:
        return _unless(changed, last, fingerprints, teacher, config)
    if last.record["num_devices"] != num_devices:
        changed.append(f"  devices: were {last.record['num_devices']}, now {num_devices}")
    machines = last.record.get("num_machines", num_machines)  # older last states do not say
    if machines != num_machines:
        changed.append(f"  machines: were {machines}, now {num_machines}")
    return _unless(changed, last, fingerprints, teacher, config)


def _unless(
    changed: list[str],
    last: LastState,
    fingerprints: list[str],
    teacher: str,
    config: TrainConfig,
) -> LastState:
    """Return the last state.  Raises ValueError for what has changed."""
    before = last.record["data"]
    if len(before) != len(fingerprints) or not all(map(is_same_data, before, fingerprints)):
        changed.append(f"  data: was {last.record['data']}, now {fingerprints}")
    taught_by = last.record.get("teacher", "")
    if taught_by != teacher:
        changed.append(f"  --teacher: was {taught_by or 'none'}, now {teacher or 'none'}")
    if changed:
        raise ValueError(
            "--resume continues the same run, but these options changed; give them as before, "
            "or start another --prefix from it with --pretrained "
            f"{config.prefix},{LAST}:\n" + "\n".join(changed)
        )
    return last


def refuse_other_parameters(
    last: LastState, shapes: Mapping[str, tuple[int, ...]], config: TrainConfig
) -> None:
    """Raise ValueError unless a last state has all parameters of these shapes, and no others.

    The rows of a classifier that is shared out may lie elsewhere.
    """

    def is_whole(name: str) -> bool:
        return config.classifier == "dense" or not name.startswith(CLASSIFIER_PREFIX)

    given: dict[str, Any] = {
        name: tuple(array.shape) if np.dtype(array.dtype).kind == "f" else array.dtype
        for name, array in [*last.arg_params.items(), *last.aux_params.items()]
    }
    given |= dict.fromkeys(last.arg_params.keys() & last.aux_params.keys(), "there twice")
    names = filter(is_whole, [*shapes, *sorted(given.keys() - shapes.keys())])
    if differing := [name for name in names if given.get(name) != shapes.get(name)]:
        faults = [
            f"{name} is {given.get(name, 'missing')}, {shapes.get(name, 'none')} wanted"
            for name in differing[:3]
        ]
        raise ValueError(
            f"{len(differing)} of its parameters are not this run's: {'; '.join(faults)}; resume "
            "from a copy of it, or start another --prefix from a checkpoint with --pretrained"
        )


def _flag(name: str) -> str:
    """Return the flag of an option, or the name of one that this version does not know."""
    return flag_of(name) if hasattr(TrainConfig, name) else shown(name)


def check_record(record: Any, source: str) -> None:
    """Raise ValueError unless a record read from `source` has the fields of Run.last_state(), of
    their kinds."""
    for place, is_kind in KINDS.items():
        value = record
        for name in place.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if not is_kind(value):
            raise ValueError(
                f"{source}: not the record of a run: {place} is {shown(value)}; resume from a copy "
                "of this file, or start another --prefix from one of its checkpoints with "
                "--pretrained"
            )


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 53


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _is_list_of(is_kind: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(is_kind, value))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_two_numbers(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, (str, int, float))  # bool is an int


def _is_options(value: Any) -> bool:
    each = value.values() if isinstance(value, dict) else [object()]
    return all(_is_plain(one) or _is_list_of(_is_plain)(one) for one in each)


def _is_place(value: Any) -> bool:
    each = value.values() if isinstance(value, dict) else [object()]
    return value is None or all(_is_count(one) or _is_list_of(_is_count)(one) for one in each)


def _is_absent_or(is_kind: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """For what last states of older versions do not have."""
    return lambda value: value is None or is_kind(value)


def _is_two_counts(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_count, value))


# Of where a process stands in its batches.
PLACE: dict[str, Callable[[Any], bool]] = {
    "plan": _is_text,
    "images_per_batch": _is_count,
    "seed": _is_count,
    "place": _is_place,
    "bad_records": _is_absent_or(_is_list_of(_is_two_counts)),
}


def _is_batches(value: Any) -> bool:
    return isinstance(value, dict) and all(kind(value.get(name)) for name, kind in PLACE.items())


KINDS: dict[str, Callable[[Any], bool]] = {
    "position.step": _is_count,
    "position.verifications": _is_count,
    "position.images": _is_absent_or(_is_count),
    "images_of_a_step": _is_absent_or(_is_count),
    "config.accumulate": _is_absent_or(_is_count),
    "position.best.accuracy": _is_number,
    "position.best.total": _is_number,
    **{f"batches.{name}": kind for name, kind in PLACE.items()},
    "places": _is_absent_or(_is_list_of(_is_batches)),
    "metric": _is_list_of(_is_two_numbers),
    "config": _is_options,
    "config.target": _is_list_of(_is_text),
    "num_devices": _is_count,
    "num_machines": _is_absent_or(_is_count),
    "data": _is_list_of(_is_text),
    "classifier": lambda value: value is None or isinstance(value, dict),
    "teacher": _is_absent_or(_is_text),
}


def as_record(config: TrainConfig) -> dict[str, Any]:
    """Return the options as they look after a round through JSON."""
    return json.loads(json.dumps(dataclasses.asdict(config)))
