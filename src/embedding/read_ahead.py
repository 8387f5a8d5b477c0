"""Items prepared by a thread while others are at work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
import queue
import threading

BATCHES_AHEAD = 2


def read_ahead(items: Iterable) -> Iterator:
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
