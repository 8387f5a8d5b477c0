"""The photos of a request to their faces, and faces to embeddings.

Decoding, detection and alignment are done in a few threads, a photo at a time, so that large ones
take bounded memory; embedding in one thread, in batches over all requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
import time
from typing import TypeVar

import numpy as np

from .batcher import Batcher
from .forms import Upload
from .limits import Limits
from .metrics import Metrics
from .photos import decode_photo
from .recognizer import Recognizer, Sight
from .refusal import Refusal, ending, too_slow

DECODERS = 2  # photos in the making at a time; bounds the memory that large ones take
MAX_BATCH = 16
Result = TypeVar("Result")


@dataclass(frozen=True)
class PhotoName:
    """What names a photo of a request: index from 0, form field, file name, SHA-256 of it."""

    index: int
    field: str
    file_name: str
    sha256: str

    def as_dict(self) -> dict[str, int | str]:
        return dict(vars(self))


@dataclass(frozen=True, eq=False)
class Look:
    """A photo, and what was found in it."""

    photo: PhotoName
    sight: Sight


class Pipeline:
    """See the module.  start() and stop() belong into the event loop."""

    def __init__(self, recognizer: Recognizer, limits: Limits, metrics: Metrics):
        self._recognizer, self._limits = recognizer, limits
        self._decoders = ThreadPoolExecutor(DECODERS, thread_name_prefix="decoder")
        self.batcher = Batcher(recognizer.embed, MAX_BATCH, metrics.batch_size.observe)
        self._is_ending = False
        self._in_work: dict[object, float] = {}  # photos, and since when

    def start(self) -> None:
        self.batcher.start()

    async def stop(self) -> None:
        self._is_ending = True
        await self.batcher.stop()
        self._decoders.shutdown()

    @property
    def busy_seconds(self) -> float:
        """Seconds that the longest photo or batch in work has taken so far."""
        began = min(list(self._in_work.values()), default=None)
        decoding = 0.0 if began is None else time.monotonic() - began
        return max(decoding, self.batcher.busy_seconds)

    async def look(self, uploads: Sequence[Upload], deadline: float) -> list[Look]:
        """Return what is in each photo.

        Raises Refusal for the first that has a fault, naming it and the others that have; 503
        after the deadline.
        """
        if self._is_ending:
            raise ending()
        loop = asyncio.get_running_loop()
        jobs = [
            loop.run_in_executor(self._decoders, self._look, upload, deadline) for upload in uploads
        ]
        # Wait for all, though one fails: what goes on must count as in progress.
        answers = await within(asyncio.gather(*jobs, return_exceptions=True), deadline)
        refusals = [answer for answer in answers if isinstance(answer, Refusal)]
        for answer in answers:
            if isinstance(answer, BaseException):
                if isinstance(answer, Refusal) and len(refusals) > 1:
                    answer.more["faults"] = [one.body for one in refusals if one is not answer]
                raise answer
        return answers

    async def embed(self, crops: Sequence[np.ndarray], deadline: float) -> list[np.ndarray]:
        """Return the embedding (D,) of each crop.  Raises Refusal (503) after the deadline."""
        return await within(asyncio.gather(*map(self.batcher, crops)), deadline)

    def _look(self, upload: Upload, deadline: float) -> Look:
        if time.monotonic() > deadline:  # nobody waits for it any more
            raise too_slow()
        self._in_work[upload] = time.monotonic()
        name = PhotoName(upload.index, upload.field, upload.file_name, upload.sha256)
        try:
            photo = decode_photo(bytes(upload.data), self._limits)
            return Look(name, self._recognizer.see(photo))
        except Refusal as refusal:
            refusal.more["photo"] = name.as_dict()
            raise
        finally:
            del self._in_work[upload]


async def within(work: Awaitable[Result], deadline: float) -> Result:
    """Return the result of what is done by the deadline, time.monotonic().  Raises Refusal."""
    future = asyncio.ensure_future(work)
    # Nobody asks any more for what becomes of a cancelled one.
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    try:
        return await asyncio.wait_for(future, max(deadline - time.monotonic(), 0))
    except asyncio.TimeoutError:
        raise too_slow() from None
