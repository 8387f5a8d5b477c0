"""A stored network run by onnxruntime: converted, kept, and compared with MXNet.

A conversion is trusted when the engine gave what MXNet gives on the first images it was handed;
that is remembered with the entry of the cache, so MXNet is imported once for each network.  A
difference is an error: no other engine steps in silently.
"""

from __future__ import annotations

import logging

import numpy as np

from ..checkpoints.network import StoredNetwork
from . import packages
from .cache import ConversionCache
from .conversion import convert
from .parity import Parity
from .session import Session

COMPARED = 8  # images of the first batch

logger = logging.getLogger(__name__)


class ConvertedNetwork:
    """A network and its session.

    size: (height, width) of the images; None for a network that takes any.  gpu, dtype: as
    Session.  cache: where conversions are kept; None keeps none, for parameters that change.
    prove: compare with MXNet, unless the cache knows the outcome.  name: for messages.
    Raises ValueError if it cannot be converted, or for a device or dtype that cannot be had.
    """

    def __init__(
        self,
        network: StoredNetwork,
        size: tuple[int, int] | None,
        *,
        gpu: int = -1,
        dtype: str = "float32",
        cache: ConversionCache | None = None,
        prove: bool = True,
        name: str = "the network",
    ):
        self._cache, self._name = cache, name
        self._key = ConversionCache.key(network.fingerprint, size) if cache else ""
        self._session = self._open(network, size, gpu, dtype)
        self._engine = f"{_engine_name(self._session)}{'' if gpu < 0 else '-gpu'}"
        known = cache is not None and cache.was_compared(self._key, self._engine)
        self._unproven: StoredNetwork | None = network if prove and not known else None
        # Other precisions are held against float32 on the first batch, which MXNet has confirmed.
        self._float32: ConvertedNetwork | None = None
        self._dtype = dtype
        self.cost: Parity | None = None  # of the dtype, against float32; known after the first run
        if dtype != "float32" and prove:
            self._unproven = None
            self._float32 = ConvertedNetwork(network, size, gpu=gpu, cache=cache, name=name)

    @property
    def provider(self) -> str:
        """What runs it, for people."""
        return self._session.provider

    def run(self, batch: np.ndarray) -> list[np.ndarray]:
        """Return all outputs, in order, of images float32 (N, 3, H, W)."""
        if self._float32 is not None:
            self._tell_cost(self._float32, batch[:COMPARED])
            self._float32 = None
        if self._unproven is not None:
            self._prove(self._unproven, batch[:COMPARED])
            self._unproven = None
        return self._run(batch)

    def _run(self, batch: np.ndarray) -> list[np.ndarray]:
        return self._session.run({next(iter(self._session.inputs)): batch})

    def _open(self, network: StoredNetwork, size, gpu: int, dtype: str) -> Session:
        model = self._cache.load(self._key) if self._cache else None
        if model is not None:
            session = self._open_kept(model, network, size, gpu, dtype)
            if session is not None:
                return session
        fold = self._cache is not None  # folding costs time that one use does not bring in
        try:
            model = convert(network, size, fold=fold).SerializeToString()
        except ValueError as error:
            if "ONNX" not in str(error):
                raise  # the network is at fault, whatever runs it
            raise ValueError(f"{error}; --engine mxnet runs it") from None
        if self._cache:
            self._cache.store(self._key, model)
        return Session(model, gpu=gpu, dtype=dtype, name=self._name, any_size=size is None)

    def _open_kept(self, model: bytes, network, size, gpu: int, dtype: str) -> Session | None:
        """Return the session of a kept model, None (said) if it is not this network's."""
        try:
            session = Session(model, gpu=gpu, dtype=dtype, name=self._name, any_size=size is None)
        except ValueError as error:
            found = str(error)
        else:
            found = f"fingerprint {session.metadata.get('fingerprint', 'none')}"
            if found == f"fingerprint {network.fingerprint}":
                return session
        logger.warning(
            "cache entry %s is not this network (%s); %s is converted again",
            self._key, found, self._name,
        )  # fmt: skip
        return None

    def _prove(self, network: StoredNetwork, batch: np.ndarray) -> None:
        """Compare with MXNet.  Raises ValueError if the results differ."""
        if not packages.has_mxnet():
            logger.warning("%s: conversion not compared, MXNet is not installed", self._name)
            return
        from .reference import run_mxnet

        batch = _filled(batch)
        expected = run_mxnet(network, batch)
        if not all(np.isfinite(output).all() for output in expected):
            raise ValueError(
                f"{self._name}: MXNet's own result is NaN or infinite for these images; its "
                "parameters are those of a training that diverged, or damaged"
            )
        parity = Parity.of(expected, self._run(batch))
        if not parity.is_faithful:
            raise ValueError(
                f"{self._name}: onnxruntime ({self.provider}) and MXNet disagree on "
                f"{len(batch)} images, {parity}; nothing was embedded.  The conversion is wrong, "
                "or the network has collapsed to embeddings that hardly differ; --engine mxnet "
                "embeds"
            )
        logger.info("%s: as MXNet on %d images, %s", self._name, len(batch), parity)
        if self._cache:
            facts = {"min_cosine": parity.min_cosine, "max_difference": parity.max_difference}
            self._cache.note_compared(self._key, self._engine, facts | {"images": len(batch)})

    def _tell_cost(self, single: ConvertedNetwork, batch: np.ndarray) -> None:
        self.cost = Parity.of(single.run(batch), self._run(batch))
        logger.warning("%s in %s against float32: %s", self._name, self._dtype, self.cost)


def _filled(batch: np.ndarray) -> np.ndarray:
    """Return the images and others of noise, COMPARED in all: a black one alone proves nothing."""
    shape = (COMPARED - len(batch), *batch.shape[1:])
    noise = np.random.default_rng(0).uniform(batch.min(), batch.max() + 1, shape)
    return np.concatenate([batch, noise.astype(np.float32)])


def _engine_name(session: Session) -> str:
    """Return package, version and provider, as part of a file name."""
    package, number = packages.onnxruntime_build()
    return f"{package}-{number}-{session.provider.replace(' ', '-')}"
