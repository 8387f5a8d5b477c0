"""The models that a verification compares: what --model names, and what they make of a pair set."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..checkpoints.names import checkpoint_numbers
from ..data.dataset import read_property
from ..embedding.source_text import NETWORK, parse_source
from ..embedding.sources import Embeddings, ReadyEmbeddings, open_sources
from .pair_containers import find_pair_set
from .pair_embeddings import PairEmbeddings, embed_pair_set, ready_pair_embeddings
from .pair_sets import PairSet
from .score_files import ScoreFile


def open_models(arguments: argparse.Namespace) -> list[Embeddings]:
    """Return what --model names, in order.  Raises ValueError for two of one name, or none."""
    texts = list_models(arguments.model, arguments.max)
    if not texts and not arguments.scores:
        raise ValueError("give --model, or --scores")
    return open_sources(texts, arguments, are_kept=False)


def list_models(texts: list[str], limits: str = "") -> list[str]:
    """Return "prefix,number", .onnx paths and files of vectors out of what --model may say, in
    order, with their aliases and options.

    limits: --max, "a,b".  Raises FileNotFoundError if a bare prefix has no checkpoint.
    """
    models: list[str] = []
    for text in texts:
        source = parse_source(text)
        if source.is_vectors or source.model.endswith(NETWORK):
            models.append(text)
            continue
        prefix, comma, numbers = source.model.rpartition(",")
        if comma:
            found = [f"{prefix},{number.strip()}" for number in numbers.split("|")]
        else:
            prefix = source.model
            found = [f"{prefix},{number}" for number in checkpoint_numbers(prefix)[::-1]]
            if not found:
                raise FileNotFoundError(f"--model {text}: no checkpoint {prefix}-0001.params or so")
        if source.alias and len(found) > 1:
            raise ValueError(f"--model {text}: {len(found)} checkpoints, and one alias")
        models += [f"{source.alias}={one}" if source.alias else one for one in found]
    if limits:
        first, comma, past_last = limits.partition(",")
        if not (comma and first.strip().isdecimal() and past_last.strip().isdecimal()):
            raise ValueError(f"--max {limits!r}: give two numbers A,B")
        models = models[int(first) : int(past_last)]
        if not models:
            raise ValueError(f"--max {limits}: leaves no checkpoint")
    return models


def refuse_one_for_all(
    models: Sequence[Embeddings], scores: Sequence[ScoreFile], targets: Sequence[str]
) -> None:
    """Raise ValueError for a file that would be taken for each of several pair sets, by order."""
    by_order = [one.name for one in models if isinstance(one, ReadyEmbeddings)
                and one.is_of_one_target]  # fmt: skip
    by_order += [one.path for one in scores if "{target}" not in one.path]
    if by_order:
        raise ValueError(
            f"{by_order[0]}: is of one pair set, and {len(targets)} are compared "
            f"({', '.join(targets)}); put {{target}} into its name, which stands for each, or give "
            "one --target"
        )


def embed(
    model: Embeddings, target: str, pair_set: PairSet, arguments: argparse.Namespace
) -> tuple[PairEmbeddings, dict[str, str]]:
    """Return the embeddings of a pair set by one model, and what they came from."""
    if isinstance(model, ReadyEmbeddings):
        pack = find_pair_set(arguments.data_dir, target)
        model.vectors(target).refuse_other_images(pack)
        found = ready_pair_embeddings(model, pair_set, target)
        is_single = np.array_equal(found.plain, found.flipped)
        return found, model.facts_of(target) | ({"flip": "as given"} if is_single else {})
    network = model.embedder()
    embeddings = embed_pair_set(
        network,
        pair_set,
        property_size(arguments.data_dir),
        progress=f"{target} {Path(model.name).name}",
    )
    return embeddings, network.facts | {"alignment": arguments.crop_template}


def property_size(data_dir: str) -> tuple[int, int] | None:
    """Return the (height, width) that the dataset's property says, None without it."""
    path = Path(data_dir, "property")
    return read_property(path)[1] if path.is_file() else None
