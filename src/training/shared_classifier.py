"""The classifier of a run that is shared out over its processes: from options to rows in place."""

from __future__ import annotations

from collections.abc import Mapping
import json
import logging
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..checkpoints.last_state import has_last
from ..checkpoints.names import existing_params
from ..checkpoints.nodes import Graph
from ..checkpoints.shards import StoredClassifier, WholeClassifier, classifier_beside
from ..checkpoints.stored_rows import StoredRows
from ..config import TrainConfig
from ..networks import NETWORKS
from ..networks.initializers import gaussian_out
from ..torch_engine.classifier import Classifier
from ..torch_engine.classifier_memory import ClassifierMemory
from ..torch_engine.collectives import Collectives
from ..torch_engine.fills import Drawing, Fill, draw, filled_from, filled_of
from ..torch_engine.slices import slice_of
from ..torch_engine.split import SplitLoss, split_loss
from .growth import Growth, tell_rows_by_number
from .optimizer import make_optimizer
from .stepper import Params

if TYPE_CHECKING:
    from .plan import Plan

logger = logging.getLogger(__name__)


def split_of(plan: Plan, graph: Graph) -> SplitLoss:
    """Return the loss of a plan slice by slice.  Raises ValueError that says why it cannot be."""
    config = plan.config
    kind, identities = config.classifier, plan.datasets[0].num_classes
    try:
        loss = split_loss(graph, identities, frozenset(plan.shapes))
        if kind == "partial" and loss.sampling:
            raise ValueError(f"cannot be sampled: {loss.sampling}")
    except ValueError as error:
        raise ValueError(
            f"--classifier {kind}: loss {config.loss_type} {error}; docs/scale.md lists what is "
            "shared out; leave --classifier at dense"
        ) from None
    if config.fc7_init == "imprint" and not (config.resume and has_last(config.prefix)):
        raise ValueError(
            f"--fc7-init imprint --classifier {kind}: rows that are shared out are not imprinted; "
            "begin with --classifier dense, and --resume with sharded"
        )
    return loss


def make_classifier(
    config: TrainConfig,
    graph: Graph,
    identities: int,
    inputs: frozenset[str],
    attributes: Mapping[str, Mapping[str, str]],
    together: Collectives,
    device: torch.device,
) -> Classifier:
    """Return the classifier of these options, its rows still to be filled."""
    return Classifier(
        graph,
        identities,
        inputs,
        config.emb_size,
        make_optimizer(config, attributes),
        1.0 / (config.accumulate * together.count),
        together,
        device=device,
        rate=config.sample_rate if config.classifier == "partial" else None,
        on_host=config.classifier_memory == "host",
    )


def memory_of(plan: Plan, loss: SplitLoss, processes: int) -> ClassifierMemory:
    """Return what the first, and so the largest or equal, slice takes."""
    config, moments = plan.config, len(make_optimizer(plan.config, {}).moments)
    size = slice_of(plan.datasets[0].num_classes, processes - 1, processes).size
    each = max(loss.weights.values())
    rate = config.sample_rate if config.classifier == "partial" else 1.0
    return ClassifierMemory.of(
        identities=size,
        rows=each,
        width=config.emb_size,
        batch=config.per_batch_size,
        moments=moments,
        processes=processes,
        rate=rate,
        is_sampled=config.classifier == "partial",
        accumulate=config.accumulate,
    )


def drawing_of(plan: Plan) -> Drawing:
    """Return how the network's initializer draws a classifier, as that of a dense one.

    Of a symbol that was made elsewhere that of its network, as resnets where that is not known.
    Raises ValueError for one of another kind.
    """
    network, name = plan.network, plan.config.network
    if network is None:
        is_made_by_us = bool(plan.published.arg_params) and name in NETWORKS
        network = NETWORKS[name] if is_made_by_us else None
    found = network.initializer if network else gaussian_out
    found = found if hasattr(found, "rnd_type") else found()
    if not hasattr(found, "rnd_type"):
        raise ValueError(
            f"--classifier {plan.config.classifier}: network {name} begins with "
            f"{type(found).__name__}, and rows that are shared out are drawn as Xavier does alone; "
            "leave --classifier at dense"
        )
    return found


def first_rows(
    config: TrainConfig,
    identities: int,
    each: Mapping[str, int],
    held: Params,
    growth: Growth | None = None,
    drawing: Drawing = gaussian_out,
) -> Fill:
    """Return what fills the rows of a new run: those of --pretrained, else drawn.

    held: parameters that are there whole already.  growth: which rows of --pretrained belong to
    whom.  drawing: how.
    """
    total = {name: identities * rows for name, rows in each.items()}
    stored = _pretrained_classifier(config)
    grown: set[str] = set()
    if stored and growth and not growth.is_same:
        grown = {name for name in each if name in stored.names and name not in held}
        if grown:
            growth.tell()

    def fill(name: str, begin: int, rows: Tensor) -> None:
        shape = (total[name], *rows.shape[1:])
        if name in held and held[name].shape == shape:
            filled_of(held)(name, begin, rows)
        elif name in grown:
            draw(rows, begin, total[name], config.seed, drawing)
            _carry(stored, name, begin, rows, growth, each[name])
        elif _fits(stored, name, shape, each[name]):
            filled_from(stored)(name, begin, rows)
            logger.info("pretrained: took the rows of %s", name)
            if not growth:
                tell_rows_by_number([name])
        else:
            if stored:
                there = stored.shape(name) if name in stored.names else "not there"
                logger.warning("pretrained: initialised %s (there %s, here %s)", name, there, shape)
            draw(rows, begin, total[name], config.seed, drawing)

    return fill


def _fits(
    stored: StoredClassifier | WholeClassifier | None, name: str, shape: tuple[int, ...], each: int
) -> bool:
    """Return whether rows are there of this shape, and as many for each identity, where it says."""
    if not stored or name not in stored.names or stored.shape(name) != shape:
        return False
    return not stored.ranges or stored.ranges.rows[name] == each


def _carry(
    stored: StoredClassifier | WholeClassifier,
    name: str,
    begin: int,
    rows: Tensor,
    growth: Growth,
    each: int,
) -> None:
    """Put the rows of known identities over those that were drawn.

    begin: the first of `rows`.  each: rows of an identity.  Raises ValueError for others there.
    """
    if stored.ranges and stored.ranges.rows[name] != each:
        raise ValueError(
            f"--pretrained: {name} has {stored.ranges.rows[name]} row(s) for each identity, this "
            f"run {each}"
        )
    growth.check(name, stored.shape(name), each, tuple(rows.shape[1:]))
    take = filled_from(stored)
    for number, before, count in growth.stretches(begin // each, (begin + len(rows)) // each):
        place = number * each - begin
        take(name, before * each, rows[place : place + count * each])


def _pretrained_classifier(config: TrainConfig) -> StoredClassifier | WholeClassifier | None:
    if not config.pretrained:
        return None
    whole = WholeClassifier(existing_params(config.pretrained))
    return whole if whole.names else classifier_beside(config.pretrained) or whole


def first_states(
    attributes: Mapping[str, Mapping[str, str]], names: list[str], pretrained: str
) -> Params:
    """Return the running values of a loss as they begin, each (1, 1): of --pretrained, where it has
    them, as a dense run takes them."""
    found = {}
    stored = StoredRows(existing_params(pretrained)) if pretrained and names else None
    for name in names:
        kind, options = json.loads(attributes[name]["__init__"])
        assert kind == "constant", name
        found[name] = np.full((1, 1), float(options["value"]), np.float32)
        place = stored.places.get(f"aux:{name}") if stored else None
        if place and place.shape == (1, 1) and place.dtype == np.float32:
            stored.read(f"aux:{name}", 0, found[name])
    return found
