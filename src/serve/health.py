"""Whether the service can do what it is there for: the recognizer, the store and the disk."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
import os
from pathlib import Path
import shutil
import sqlite3
import time

from .people import People
from .pipeline import Pipeline

STUCK = 30.0  # seconds for one photo or batch; measured ones take less than one
STORE_SECONDS = 0.7
LEAST_DISK = 64 * 2**20  # bytes
KEPT = 0.5  # seconds for which an answer holds: asking costs nearly nothing


class HealthCheck:
    """parts() tells of each part "ok" or what is wrong."""

    def __init__(self, pipeline: Pipeline, people: People):
        self._pipeline, self._people = pipeline, people
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="health")
        self._lock, self._known, self._until = asyncio.Lock(), {}, 0.0

    async def parts(self) -> dict[str, str]:
        """Return recognizer, store and disk, each "ok" or what is wrong with it."""
        async with self._lock:
            if time.monotonic() > self._until:
                self._known = {
                    "recognizer": self._recognizer(),
                    "store": await self._store(),
                    "disk": self._disk(),
                }
                self._until = time.monotonic() + KEPT
        return self._known

    def close(self) -> None:
        self._thread.shutdown(wait=False)

    def _recognizer(self) -> str:
        if not self._pipeline.batcher.is_alive:
            return "does not run"
        busy = self._pipeline.busy_seconds
        return f"has been busy with one photo for {busy:.0f} s" if busy > STUCK else "ok"

    async def _store(self) -> str:
        loop = asyncio.get_running_loop()
        try:
            check = loop.run_in_executor(self._thread, self._people.check)
            await asyncio.wait_for(check, STORE_SECONDS)
        except asyncio.TimeoutError:
            return "does not answer"
        except sqlite3.Error as error:
            return f"cannot be read: {error}"
        return "ok"

    def _disk(self) -> str:
        folder = Path(self._people.path).absolute().parent
        try:
            free = shutil.disk_usage(folder).free
        except OSError as error:
            return f"cannot be looked at: {error.strerror}"
        if free < LEAST_DISK:
            return f"has {free} bytes left"
        return "ok" if os.access(self._people.path, os.W_OK) else "the store is read-only"
