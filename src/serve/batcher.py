"""One thread for the network; what waits for it is done in one batch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
import time
from typing import Any


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
        self._began: float | None = None

    def start(self) -> None:
        """Begin to work.  Call within the event loop."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End after the batch at hand."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._thread.shutdown()

    @property
    def is_alive(self) -> bool:
        return self._task is not None and not self._task.done()

    @property
    def busy_seconds(self) -> float:
        """Seconds that the batch at hand has taken so far, 0 where there is none."""
        return 0.0 if self._began is None else time.monotonic() - self._began

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
            self._began = time.monotonic()
            try:
                loop = asyncio.get_running_loop()
                answers = await loop.run_in_executor(self._thread, self._work, items)
            except Exception as error:  # a fault of ours: whoever waits must hear of it
                answers = [error] * len(batch)
            finally:
                self._began = None
            for (_, future), answer in zip(batch, answers, strict=True):
                if future.cancelled():
                    continue
                if isinstance(answer, Exception):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)
