"""Photos to faces, crops and embeddings; what waits is done in one batch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..align.face import Face
from ..embedding.face_model import FaceModel, NoFaceError, UncertainFaceError
from .photos import Photo
from .refusal import Refusal


@dataclass(frozen=True, eq=False)
class Found:
    """The main face of a photo.

    face: in pixels of the photo as sent.  num_faces: how many there are.  crop: BGR uint8
    (H, W, 3), aligned.  embedding: float32 (D,), unit length.
    """

    face: Face
    num_faces: int
    crop: np.ndarray
    embedding: np.ndarray


class Recognizer:
    """Finds and embeds the main face of each photo."""

    def __init__(self, model: FaceModel):
        self._model = model

    def __call__(self, photos: Sequence[Photo]) -> list[Found | Exception]:
        """Return for each photo its main face, the Refusal that it has none, or what went wrong."""
        answers: list[Any] = [self._find_or_fail(photo) for photo in photos]
        found = [i for i, answer in enumerate(answers) if isinstance(answer, Found)]
        if found:
            crops = np.stack([answers[i].crop for i in found])
            for i, embedding in zip(found, self._model.embed_crops(crops), strict=True):
                answers[i] = replace(answers[i], embedding=embedding)
        return answers

    def probe(self) -> np.ndarray:
        """Return the embedding (D,) of a fixed pattern, by which a network can be told again."""
        shape = (1, *self._model.size, 3)
        ramp = np.linspace(0, 255, np.prod(shape)).astype(np.uint8)
        return self._model.embed_crops(ramp.reshape(shape))[0]

    def _find_or_fail(self, photo: Photo) -> Found | Exception:
        """Return the face or the fault: the other photos of the batch are not to suffer."""
        try:
            return self._find(photo)
        except Exception as error:
            return error

    def _find(self, photo: Photo) -> Found | Refusal:
        faces = self._model.find_all(photo.bgr)
        try:
            face = self._model.find(photo.bgr, faces)
        except UncertainFaceError as error:
            return Refusal(422, "uncertain_face", str(error))
        except NoFaceError:
            return Refusal(422, "no_face", "no face was found in the photo")
        crop = self._model.crop(photo.bgr, face)
        sent = replace(face, box=face.box * photo.scale, landmarks=face.landmarks * photo.scale)
        return Found(sent, len(faces), crop, np.empty(0, np.float32))


class Batcher:
    """Hands items to `work` in one thread of its own, all that wait in one call.

    work: list of items -> list of answers, an exception among them for an item that fails.
    Under load batches grow by themselves; alone an item does not wait.
    """

    def __init__(
        self,
        work: Callable[[list[Any]], list[Any]],
        max_batch: int,
        on_batch: Callable[[int], None] = lambda size: None,
    ):
        self._work, self._max_batch, self._on_batch = work, max_batch, on_batch
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="recognizer")
        self._queue: asyncio.Queue[tuple[Any, asyncio.Future]] = asyncio.Queue()
        self._task: asyncio.Task | None = None

    def start(self) -> None:
        """Begin to work.  Call within the event loop."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End after the batch at hand."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._thread.shutdown()

    async def __call__(self, item: Any) -> Any:
        """Return the answer to one item.  Raises it if it is an exception."""
        future = asyncio.get_running_loop().create_future()
        await self._queue.put((item, future))
        return await future

    async def _run(self) -> None:
        while True:
            batch = [await self._queue.get()]
            while len(batch) < self._max_batch and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            batch = [(item, future) for item, future in batch if not future.cancelled()]
            if not batch:
                continue
            self._on_batch(len(batch))
            items = [item for item, _ in batch]
            try:
                loop = asyncio.get_running_loop()
                answers = await loop.run_in_executor(self._thread, self._work, items)
            except Exception as error:  # a fault of ours: whoever waits must hear of it
                answers = [error] * len(batch)
            for (_, future), answer in zip(batch, answers, strict=True):
                if future.cancelled():
                    continue
                if isinstance(answer, Exception):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)
