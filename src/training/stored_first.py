"""The parameters with which a run begins, where MXNet is not there to draw them."""

from __future__ import annotations

from collections.abc import Iterable
import logging
from typing import TYPE_CHECKING

import numpy as np

from ..checkpoints.graph import embedding_part, read_graph
from ..checkpoints.names import existing_params, split_checkpoint, symbol_path
from ..checkpoints.network import CLASSIFIER_PREFIX, TRAINING_PREFIXES
from ..checkpoints.nodes import Graph
from ..checkpoints.params import read_params, split_params
from ..checkpoints.shards import classifier_beside
from ..losses.distill import MAP
from .growth import tell_rows_by_number
from .imprint import CLASSIFIER, imprint
from .stepper import Params
from .teacher import without_map_of_another

if TYPE_CHECKING:
    from .plan import Plan

logger = logging.getLogger(__name__)

MAGNITUDE = 2.0  # of Xavier's initializer, as r* and y* have it for what they draw


def stored_parameters(plan: Plan) -> tuple[Params, Params]:
    """Return (arg_params, aux_params), numpy's: those that --plan-only wrote beside the symbol, or
    those of --pretrained with a classifier drawn where it has none.

    Without the rows of a classifier that is shared out, which each process takes for itself.
    Raises ValueError naming what is missing.
    """
    stored, config = plan.published, plan.config
    if stored.arg_params:
        return stored.arg_params, stored.aux_params
    if not config.pretrained or config.new_head:
        raise ValueError(
            f"{stored.graph.source}: no parameters stand beside it, and without MXNet none but a "
            "classifier's are drawn; give --pretrained without --new-head, or all three files "
            "that --plan-only writes"
        )
    arg_params, aux_params = split_params(read_params(existing_params(config.pretrained)))
    given, states = arg_params | aux_params, stored.graph.states()
    given = dict(without_map_of_another(config.pretrained, given, plan.teacher_fingerprint))
    _refuse_another_network(config.pretrained, given, stored.graph)
    sizes = classifier_shapes(stored.graph, given, plan.datasets[0].num_classes)
    growth = plan.growth
    wanted = [name for name in stored.graph.variables() if name not in plan.shapes]
    if config.classifier != "dense":
        wanted, growth = [name for name in wanted if name not in sizes], None
    else:
        given |= _rows_beside(config.pretrained, sizes.keys() - given.keys())
    rng = np.random.default_rng(config.seed)
    found: Params = {}
    if growth and not growth.is_same:
        for name in sizes.keys() & given.keys():
            drawn = _drawn(sizes[name], rng)
            given[name] = growth.carried(name, given[name].astype(np.float32), drawn)
        growth.tell()
    sizes |= map_shape(stored.graph, given)
    for name in wanted:
        if name in given and sizes.get(name, given[name].shape) == given[name].shape:
            found[name] = given[name].astype(np.float32)
        elif name in sizes:
            found[name] = _drawn(sizes[name], rng)
            there = given[name].shape if name in given else "not there"
            logger.warning(
                "pretrained: initialised %s (there %s, here %s)", name, there, sizes[name]
            )
    if missing := [name for name in wanted if name not in found]:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise ValueError(
            f"--pretrained {config.pretrained}: lacks {', '.join(missing[:5])}{more}, which "
            f"{stored.graph.source} reads: they belong to different networks"
        )
    parameters = (
        {name: array for name, array in found.items() if name not in states},
        {name: array for name, array in found.items() if name in states},
    )
    logger.info("pretrained: took the parameters of %s", config.pretrained)
    if not growth and config.classifier == "dense":
        taken = (name for name in sizes.keys() & given.keys() if name.startswith(CLASSIFIER_PREFIX))
        tell_rows_by_number(name for name in taken if given[name].shape == sizes[name])
    if config.fc7_init == "imprint":
        known = growth.kept if growth else ()
        dataset, images = plan.datasets[0], plan.images_per_batch
        imprint(stored, *parameters, None, dataset, images, config.max_bad, known)
    return parameters


def _refuse_another_network(checkpoint: str, given: Params, graph: Graph) -> None:
    """Raise ValueError if parameters of a checkpoint's network are not read here.

    Its classifier may be another one.
    """
    prefix, _ = split_checkpoint(checkpoint)
    allowed = set(graph.variables())
    if symbol_path(prefix).is_file():
        own = read_graph(symbol_path(prefix))
        allowed |= {*own.variables()} - {*embedding_part(own).variables()}
    left_over = [
        name for name in given if name not in allowed and not name.startswith(TRAINING_PREFIXES)
    ]
    if left_over:
        raise ValueError(
            f"--pretrained {checkpoint}: holds another network than {graph.source}, which does not "
            f"read {len(left_over)} of its parameters: {', '.join(left_over[:5])}"
        )


def _rows_beside(checkpoint: str, names: Iterable[str]) -> Params:
    """Return what is missing of a classifier that was shared out, and so lies in files beside."""
    stored = classifier_beside(checkpoint) if (wanted := sorted(names)) else None
    return {name: stored.whole(name) for name in wanted if name in stored.names} if stored else {}


def classifier_shapes(graph: Graph, given: Params, num_classes: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the classifier's weight and bias, as the dense layer says that reads
    them; the embedding's size is that of the layer or norm before it.

    Raises ValueError for a classifier of another number of identities than the dataset has.
    """
    found: dict[str, tuple[int, ...]] = {}
    size = _embedding_size(given)
    for node in graph.nodes:
        names = [graph.nodes[entry.node].name for entry in node.inputs[1:]]
        if node.operator != "FullyConnected" or not names[0].startswith(CLASSIFIER_PREFIX):
            continue
        rows = node.get("num_hidden", 0)
        if names[0] == CLASSIFIER and rows % num_classes:
            raise ValueError(
                f"{graph.source}: its classifier knows {rows} identities, the dataset has "
                f"{num_classes}: a symbol is trained on the dataset that it was made for"
            )
        if size:
            found[names[0]] = (rows, size)
        found |= dict.fromkeys(names[1:], (rows,))
    return found


def map_shape(graph: Graph, given: Params) -> dict[str, tuple[int, ...]]:
    """Return the shape of the map to a teacher's vectors, if there is one."""
    size = _embedding_size(given)
    reads = (n for n in graph.nodes if MAP in [graph.nodes[entry.node].name for entry in n.inputs])
    node = next(reads, None)
    return {MAP: (node.get("num_hidden", 0), size)} if node and size else {}


def _embedding_size(given: Params) -> int | None:
    ends = ("fc1_beta", "fc1_bias", "pre_fc1_bias")
    return next((len(given[name]) for name in ends if name in given), None)


def _drawn(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    if len(shape) < 2:
        return np.zeros(shape, np.float32)
    return rng.normal(0, (MAGNITUDE / shape[0]) ** 0.5, shape).astype(np.float32)
