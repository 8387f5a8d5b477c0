"""Batches of one or two images per device, from which a network cannot learn.

After the last feature map batch normalisation has one value per image and channel.  One value is
its own mean: 0 comes out whatever the image, and no gradient goes in.  Two become -1 and 1, with
a gradient of about epsilon / variance of what it should be.  Three are the least that learn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import json
import logging
import math

from ..lazy_mxnet import mx

logger = logging.getLogger(__name__)

NORMS = frozenset({"BatchNorm", "BatchNorm_v1"})
LEAST = 3  # images

Shapes = Mapping[str, tuple[int, ...]]


def norms_of_few(symbol: mx.sym.Symbol, shapes: Shapes, values: int) -> list[str]:
    """Return the names of those that take statistics from so many values per channel, or fewer.

    shapes: of every input, for one device.  Raises MXNetError if they do not fit the symbol.
    """
    internals = symbol.get_internals()
    sizes = dict(zip(internals.list_outputs(), internals.infer_shape(**shapes)[1], strict=True))
    found = []
    for node in json.loads(symbol.tojson())["nodes"]:
        options = node.get("attrs", {})
        if node["op"] not in NORMS or options.get("use_global_stats") in ("True", "1"):
            continue
        shape = sizes[f"{node['name']}_output"]  # as its input's
        if math.prod(shape) <= values * shape[int(options.get("axis", 1))]:
            found.append(node["name"])
    return found


def refuse_few_images(symbol: mx.sym.Symbol, shapes: Shapes) -> None:
    """Raise ValueError if a normalisation sees one value per channel, warn if it sees two."""
    one, two = norms_of_few(symbol, shapes, 1), norms_of_few(symbol, shapes, 2)
    _tell(one, two, shapes["data"][0])


def told_of_few(norms: Sequence[tuple[str, int]], images: int) -> None:
    """As refuse_few_images(), of the names of normalisations and their values per channel."""
    one, two = ([name for name, values in norms if values <= few] for few in (1, 2))
    _tell(one, two, images)


def _tell(one: list[str], two: list[str], images: int) -> None:
    given = f"--per-batch-size {images}"
    cure = (
        "--accumulate does not change that: statistics are those of one device's batch.  Give "
        f"--per-batch-size {LEAST} or more, or --freeze-bn 1 with --pretrained, or a "
        "--version-output without such a layer (F, G, H)"
    )
    if one:
        raise ValueError(
            f"{given}: BatchNorm {_listed(one)} would see one value per channel, which gives the "
            f"same for every image and no gradient: the network could not learn.  {cure}"
        )
    if two:
        logger.warning(
            "%s: BatchNorm %s sees two values per channel, which become -1 and 1 and pass almost "
            "no gradient: the network will hardly learn.  %s",
            given,
            _listed(two),
            cure,
        )


def _listed(names: list[str]) -> str:
    return ", ".join(map(repr, names))
