"""Images to embeddings: a checkpoint bound for inference, decoding hidden behind it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
import queue
import threading

import mxnet as mx
import numpy as np

from .ops import fast_graph, fold_norms
from .training.checkpoints import Params, load_checkpoint

EMBEDDING_OUTPUT = "fc1_output"  # published name of the embedding in every checkpoint
BATCHES_AHEAD = 2


class ImageEmbedder(ABC):
    """What turns crops into embeddings, whatever runs the network.

    flip: add the embedding of the mirrored image, as published.  normalize: unit length.
    """

    def __init__(self, batch_size: int, flip: bool, normalize: bool):
        if batch_size < 1:
            raise ValueError(f"batch size {batch_size}: must be at least 1")
        self.batch_size = batch_size
        self.flip = flip
        self.normalize = normalize

    @abstractmethod
    def forward(self, batch: np.ndarray) -> np.ndarray:
        """Return raw embeddings float32 (n, D) of float32 RGB (n, 3, H, W), n <= batch_size."""

    def __call__(self, rgb_nhwc: np.ndarray) -> np.ndarray:
        """Return float32 (N, D) embeddings of uint8 RGB crops (N, H, W, 3).

        Raises ValueError for another shape or dtype, or a size the network does not take.
        """
        rgb_nhwc = np.asarray(rgb_nhwc)
        if rgb_nhwc.ndim != 4 or rgb_nhwc.shape[3] != 3 or rgb_nhwc.dtype != np.uint8:
            raise ValueError(
                f"images are {rgb_nhwc.dtype} {rgb_nhwc.shape}; expected uint8 RGB (N, H, W, 3)"
            )
        plain, flipped = self.plain_and_flipped(rgb_nhwc, flip=self.flip)
        embeddings = plain if flipped is None else plain + flipped
        return _unit_rows(embeddings) if self.normalize else embeddings

    def plain_and_flipped(
        self, images: Iterable[np.ndarray], *, flip: bool = True
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return raw embeddings (N, D) of the images and of their mirror images, float32.

        images: any iterable of uint8 RGB (H, W, 3), all of one size; it is read in a thread
        ahead of the network, so that decoding in it costs no time.  Without flip the second is
        None.  Raises ValueError if there are no images.
        """
        plain, flipped = [], []
        for batch in _read_ahead(self._batches(images)):
            plain.append(self.forward(batch))
            if flip:
                flipped.append(self.forward(np.ascontiguousarray(batch[..., ::-1])))
        if not plain:
            raise ValueError("no images to embed")
        return np.concatenate(plain), np.concatenate(flipped) if flip else None

    def _batches(self, images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield float32 (n, 3, H, W), n = batch_size but for the last."""
        rows: list[np.ndarray] = []
        for image in images:
            rows.append(image)
            if len(rows) == self.batch_size:
                yield _network_input(rows)
                rows = []
        if rows:
            yield _network_input(rows)


class Embedder(ImageEmbedder):
    """A checkpoint on one or several devices.

    checkpoint: "prefix,number".  ctx: a context, or several that share every batch; None is the
    CPU.  batch_size: images per forward pass, all devices together.
    Raises FileNotFoundError or ValueError if the checkpoint is missing, damaged or not a network
    with an embedding.
    """

    def __init__(
        self,
        checkpoint: str,
        ctx: mx.Context | Sequence[mx.Context] | None = None,
        *,
        batch_size: int = 32,
        flip: bool = True,
        normalize: bool = True,
    ):
        super().__init__(batch_size, flip, normalize)
        symbol, arg_params, aux_params = load_checkpoint(checkpoint)
        try:
            self._take(symbol, arg_params, aux_params, ctx)
        except ValueError as error:
            raise ValueError(f"checkpoint {checkpoint!r}: {error}") from None

    @classmethod
    def from_parameters(
        cls,
        symbol: mx.sym.Symbol,
        arg_params: Params,
        aux_params: Params,
        ctx: mx.Context | Sequence[mx.Context] | None = None,
        *,
        batch_size: int = 32,
        flip: bool = True,
        normalize: bool = True,
    ) -> Embedder:
        """Return an Embedder of a symbol that holds "fc1", such as a training symbol."""
        embedder = cls.__new__(cls)
        ImageEmbedder.__init__(embedder, batch_size, flip, normalize)
        embedder._take(symbol, arg_params, aux_params, ctx)
        return embedder

    def _take(
        self,
        symbol: mx.sym.Symbol,
        arg_params: Params,
        aux_params: Params,
        ctx: mx.Context | Sequence[mx.Context] | None,
    ) -> None:
        self._contexts = [ctx or mx.cpu()] if isinstance(ctx, mx.Context | None) else list(ctx)
        self._symbol = fast_graph(embedding_symbol(symbol), self._contexts[0], training=False)
        self._executors: list[mx.executor.Executor] = []
        self._input_shape: tuple[int, ...] = ()
        self.set_parameters(arg_params, aux_params)

    def set_parameters(self, arg_params: Params, aux_params: Params) -> None:
        """Use other parameters of the same network, as between two steps of training.

        Those of other layers (a classifier) are left aside.  Raises ValueError naming what is
        missing.
        """
        needed = set(self._symbol.list_arguments()) - {"data"}
        missing = sorted(needed - set(arg_params))
        missing += sorted(set(self._symbol.list_auxiliary_states()) - set(aux_params))
        if missing:
            raise ValueError(
                f"{len(missing)} parameters of the network are missing: {', '.join(missing[:5])}"
            )
        self._arg_params = {name: arg_params[name] for name in needed}
        self._aux_params = {n: aux_params[n] for n in self._symbol.list_auxiliary_states()}
        self._executors, self._input_shape = [], ()  # what was folded belongs to the old ones

    def forward(self, batch: np.ndarray) -> np.ndarray:
        if batch.shape[1:] != self._input_shape:
            self._bind(batch.shape[1:])
        outputs = []
        for number, executor in enumerate(self._executors):
            share = batch[number * self._share : (number + 1) * self._share]
            if not len(share):
                break
            executor.forward(is_train=False, data=mx.nd.array(_padded(share, self._share)))
            outputs.append((executor.outputs[0], len(share)))
        return np.concatenate([output.asnumpy()[:rows] for output, rows in outputs])

    def _bind(self, input_shape: tuple[int, ...]) -> None:
        """Make one executor per device for images (3, H, W)."""
        self._share = -(-self.batch_size // len(self._contexts))
        self._check_shapes(input_shape)
        first = self._contexts[0]
        shapes = {"data": (1, *input_shape)}
        symbol = fold_norms(self._symbol, first, self._arg_params, self._aux_params, shapes)
        self._executors = [
            symbol.simple_bind(context, grad_req="null", data=(self._share, *input_shape))
            for context in self._contexts
        ]
        for executor in self._executors:
            executor.copy_params_from(self._arg_params, self._aux_params)
        self._input_shape = input_shape

    def _check_shapes(self, input_shape: tuple[int, ...]) -> None:
        try:
            shapes, _, aux_shapes = self._symbol.infer_shape(data=(1, *input_shape))
        except mx.MXNetError as error:
            raise ValueError(
                f"the network does not take images of {input_shape[1]}x{input_shape[2]} "
                f"(height x width): {str(error).strip().splitlines()[-1]}"
            ) from None
        wanted = dict(zip(self._symbol.list_arguments(), shapes, strict=True))
        wanted |= dict(zip(self._symbol.list_auxiliary_states(), aux_shapes, strict=True))
        for name, array in (self._arg_params | self._aux_params).items():
            if array.shape != wanted[name]:
                raise ValueError(
                    f"parameter {name} is {array.shape}, but images of {input_shape[1]}x"
                    f"{input_shape[2]} (height x width) need {wanted[name]}: the checkpoint was "
                    "made for another image size or embedding size"
                )


def embedding_symbol(symbol: mx.sym.Symbol) -> mx.sym.Symbol:
    """Return the part of a symbol that ends in the embedding.  Raises ValueError without one."""
    internals = symbol.get_internals()
    if EMBEDDING_OUTPUT not in internals.list_outputs():
        raise ValueError(
            f"no output {EMBEDDING_OUTPUT!r} in the symbol; it ends in "
            f"{', '.join(symbol.list_outputs())}: not a network that embeds"
        )
    return internals[EMBEDDING_OUTPUT]


def _network_input(images: Sequence[np.ndarray]) -> np.ndarray:
    """Return float32 (n, 3, H, W) of uint8 RGB (H, W, 3) images, contiguous."""
    sizes = {image.shape for image in images}
    if len(sizes) > 1:
        raise ValueError(f"images of several sizes in one batch: {sorted(sizes)}")
    return np.stack(images).transpose(0, 3, 1, 2).astype(np.float32, order="C")


def _padded(batch: np.ndarray, rows: int) -> np.ndarray:
    """Return the batch with zero images added up to `rows`."""
    if len(batch) == rows:
        return batch
    return np.concatenate([batch, np.zeros((rows - len(batch), *batch.shape[1:]), batch.dtype)])


def _unit_rows(embeddings: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return embeddings / np.where(norms > 0, norms, 1.0)


def _read_ahead(items: Iterable) -> Iterator:
    """Yield the items while a thread prepares the next ones; its errors are raised here."""
    ready: queue.Queue = queue.Queue(maxsize=BATCHES_AHEAD)
    abandoned = threading.Event()

    def hand_over(kind: str, value: object) -> bool:
        while not abandoned.is_set():
            try:
                ready.put((kind, value), timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def read() -> None:
        try:
            for item in items:
                if not hand_over("item", item):
                    return
            hand_over("end", None)
        except BaseException as error:
            hand_over("error", error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        while True:
            kind, value = ready.get()
            if kind == "error":
                raise value
            if kind == "end":
                return
            yield value
    finally:
        abandoned.set()
        thread.join()
