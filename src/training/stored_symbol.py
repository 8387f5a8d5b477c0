"""A training symbol from a file, where MXNet is not there to build it.

`arcface-train --plan-only` writes three files where MXNet is installed: PREFIX-train-symbol.json,
the published training symbol; PREFIX-train-initial.params, the parameters with which the run would
begin; PREFIX-train-plan.json, the options that made them.  The same command with --engine torch
trains from them elsewhere.  The symbol of a published training checkpoint serves as well; then its
parameters come from --pretrained.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any, NamedTuple

from ..checkpoints.graph import read_graph
from ..checkpoints.nodes import Graph
from ..checkpoints.params import named_params, read_params, split_params, write_arrays
from ..config import LossConfig, NetworkConfig, TrainConfig, flag_of
from ..data.dataset import is_same_data
from ..engines.packages import has_mxnet
from ..files import replace_set
from ..limits import shown
from ..losses import Loss
from ..text import read_json
from .stepper import Params

INPUTS = frozenset({"data", "softmax_label"})
LARGEST_PLAN = 1 << 20  # bytes


class Origin(NamedTuple):
    """What the first parameters come from besides the options: fingerprints of the teacher, "" for
    none, and of the datasets."""

    teacher: str = ""
    data: Sequence[str] = ()


UNKNOWN = Origin()


@dataclass(frozen=True)
class StoredSymbol:
    """What training asks of a symbol, of one that was read.

    arg_params, aux_params: with which a run begins, numpy's; empty for a symbol without them.
    """

    graph: Graph
    text: str
    arg_params: Params
    aux_params: Params

    def tojson(self) -> str:
        return self.text

    def attr_dict(self) -> dict[str, dict[str, str]]:
        return {node.name: node.texts for node in self.graph.nodes if node.texts}

    def list_outputs(self) -> list[str]:
        return self.graph.output_names()


def takes_stored_symbol(config: TrainConfig) -> bool:
    """Return whether the symbol is read, not built."""
    return bool(config.train_symbol) or (config.engine != "mxnet" and not has_mxnet())


def symbol_file(prefix: str) -> Path:
    return Path(f"{prefix}-train-symbol.json")


def plan_file(prefix: str) -> Path:
    return Path(f"{prefix}-train-plan.json")


def parameter_file(prefix: str) -> Path:
    return Path(f"{prefix}-train-initial.params")


def write_training_symbol(
    config: TrainConfig,
    loss: Loss,
    origin: Origin,
    text: str,
    arg_params: Params,
    aux_params: Params,
) -> list[Path]:
    """Write the three files, all or none; return their paths.  text: the symbol's JSON."""
    prefix = config.prefix
    paths = [symbol_file(prefix), plan_file(prefix), parameter_file(prefix)]
    with replace_set(*paths) as files:
        files.open(paths[0], "w", encoding="utf-8").write(text)
        record = {"num_classes": loss.num_classes, "options": _options(config)}
        record |= {"image_inputs": loss.image_inputs(), **origin._asdict()}
        json.dump(record, files.open(paths[1], "w", encoding="utf-8"), indent=1)
        write_arrays(files.open(paths[2]), named_params(arg_params, aux_params), paths[2])
    return paths


def read_training_symbol(config: TrainConfig, loss: Loss, origin: Origin = UNKNOWN) -> StoredSymbol:
    """Return the symbol of --train-symbol, or that which --plan-only wrote for this prefix.

    Raises FileNotFoundError that says how it is made, or ValueError for a file that is damaged,
    made with other options, or no training symbol of this loss.
    """
    path = Path(config.train_symbol) if config.train_symbol else symbol_file(config.prefix)
    if not path.is_file():
        raise FileNotFoundError(
            f"no training symbol {path.absolute()}: MXNet, which would build it, is not installed. "
            "Where it is, the same command with --plan-only writes it; copy its files here, or "
            "name the symbol of a published training checkpoint with --train-symbol"
        )
    graph = read_graph(path)
    text = path.read_text(encoding="utf-8-sig")
    check_outputs(graph, loss)
    prefix = str(path).removesuffix("-train-symbol.json")
    arg_params: Params = {}
    aux_params: Params = {}
    if prefix != str(path) and plan_file(prefix).is_file():
        check_plan(plan_file(prefix), config, loss.num_classes, loss.image_inputs(), origin)
        arg_params, aux_params = split_params(read_params(parameter_file(prefix)))
    return StoredSymbol(graph, text, arg_params, aux_params)


def check_outputs(graph: Graph, loss: Loss) -> None:
    """Raise ValueError unless this is a symbol that the loss could have made."""
    wanted = [name for part in loss.reports() for name in part.output_names]
    read = INPUTS | {name for name, _ in loss.step_inputs(1)} | set(loss.image_inputs())
    faults = [f"has no output {name!r}" for name in wanted if name not in graph.output_names()]
    faults += [f"does not read {name!r}" for name in sorted(read - set(graph.variables()))]
    if faults:
        raise ValueError(
            f"{graph.source}: is no training symbol of this loss: it {'; it '.join(faults)}. An "
            "embedding's symbol cannot be trained: --plan-only writes one that can"
        )


def check_plan(
    path: Path,
    config: TrainConfig,
    num_classes: int,
    image_inputs: dict[str, tuple[int, ...]],
    origin: Origin = UNKNOWN,
) -> None:
    """Raise ValueError if the options that made a symbol are others, or their file is damaged."""
    record = read_json(path, "plan of a training symbol", limit=LARGEST_PLAN)
    was = record.get("options") if isinstance(record, dict) else None
    if not isinstance(was, dict):
        raise ValueError(f"{path}: not what --plan-only writes; write it anew")
    now = _options(config)
    changed = [
        f"  {flag_of(name)}: was {shown(was.get(name))}, now {now[name]}"
        for name in now
        if was.get(name) != now[name]
    ]
    if record.get("num_classes") != num_classes:
        changed.append(f"  identities: were {shown(record.get('num_classes'))}, now {num_classes}")
    wanted = {name: list(shape) for name, shape in image_inputs.items()}
    given = record.get("image_inputs", {})  # older plans have none
    if given != wanted:
        changed.append(f"  what comes with an image: was {shown(str(given))}, now {wanted}")
    if config.pretrained:  # what was taken up, or imprinted, belongs to these
        teacher, data = record.get("teacher", origin.teacher), record.get("data", origin.data)
        if teacher != origin.teacher:
            changed.append(
                f"  --teacher: was {shown(teacher or 'none')}, now {origin.teacher or 'none'}"
            )
        is_list = isinstance(data, (list, tuple)) and len(data) == len(origin.data)
        if not is_list or not all(map(is_same_data, map(str, data), origin.data)):
            changed.append(f"  data: was {shown(str(data))}, now {list(origin.data)}")
    if changed:
        raise ValueError(
            f"{path}: the training symbol was made with other options; give them as before, or "
            "write it anew with --plan-only:\n" + "\n".join(changed)
        )


def _options(config: TrainConfig) -> dict[str, Any]:
    """Return the options on which a training symbol depends, as JSON has them."""
    names = [f.name for group in (NetworkConfig, LossConfig) for f in dataclasses.fields(group)]
    names += ["network", "loss_type", "per_batch_size", "images_per_identity", "seed"]
    names += ["teacher_loss", "teacher_weight"]
    names += ["pretrained", "new_head", "fc7_init"]  # what the first parameters come from
    record = {name: getattr(config, name) for name in names}
    return json.loads(json.dumps(record))
