"""What a classifier that is shared out takes in memory, by formula; benchmarks/classifier.py
compares it with what is taken."""

from __future__ import annotations

from dataclasses import dataclass

FLOAT = 4  # bytes
LIBRARIES = 64 * 10**6  # what torch takes for its first step, whatever is computed
# The C library gives back at once what is larger, and keeps what is smaller for the next moment.
KEPT_BY_MALLOC = 32 << 20
GB = 1e9


@dataclass(frozen=True)
class ClassifierMemory:
    """Bytes on one process.

    weights, moments: of all its rows, where --classifier-memory says.  moved: the sampled rows on
    the device.  gradients, logits: at the moment that takes the most of both, or of each where
    little is given back: of the rows of a step with their moments, and of one share of the batch.
    embeddings: of all processes' batches, with their gradients.
    """

    weights: int
    moments: int
    moved: int
    gradients: int
    logits: int
    embeddings: int
    libraries: int = LIBRARIES

    @classmethod
    def of(
        cls,
        *,
        identities: int,
        rows: int,
        width: int,
        batch: int,
        moments: int,
        processes: int,
        rate: float,
        is_sampled: bool,
        accumulate: int = 1,
    ) -> ClassifierMemory:
        """identities: of this process.  rows: of each.  batch: images of one process.  accumulate:
        batches of a step."""
        whole = identities * rows * width * FLOAT
        each = max(1, int(identities * rate)) if is_sampled else identities
        step, share = each * rows * width * FLOAT, batch * each * rows * FLOAT
        # The gradient of the shares before, and of the batches before; a sample has its own.
        held = step * (processes > 1 or (accumulate > 1 and not is_sampled))
        update = step
        if is_sampled:
            held += (accumulate - 1) * 2 * step
            update = step * (1 + moments)
        if is_sampled and accumulate > 1:
            joined = min(accumulate * step, whole)  # the rows that any of the samples has
            update = max(2 * (accumulate * step + joined), joined * (2 + moments)) - step
        working = [
            (held, 6 * share),  # while the softmax is computed
            (held + 2 * step, share),  # where the gradients of products and lengths meet
            (update, 0),  # while the rows are updated
        ]
        gradients, logits = max(working, key=sum)
        if share < KEPT_BY_MALLOC:
            gradients, logits = (max(sizes) for sizes in zip(*working, strict=True))
        return cls(
            weights=whole,
            moments=whole * moments,
            moved=step if is_sampled else 0,
            gradients=gradients,
            logits=logits,
            embeddings=3 * processes * batch * width * FLOAT,
        )

    @property
    def stored(self) -> int:
        """Bytes where the rows lie."""
        return self.weights + self.moments

    @property
    def working(self) -> int:
        """Bytes on the device beside them."""
        return self.total - self.stored

    @property
    def total(self) -> int:
        return sum(vars(self).values())

    def __str__(self) -> str:
        parts = " + ".join(f"{name} {size / GB:.2f}" for name, size in vars(self).items())
        return f"{parts} = {self.total / GB:.2f} GB"


def refuse_too_much(memory: ClassifierMemory, on_host: bool, host: int, device: int | None) -> None:
    """Raise ValueError with the sum if a classifier does not fit.

    on_host: whether the rows lie in the CPU's memory.  host, device: bytes that are free there for
    this process; None where the device is the CPU.
    """
    if device is None:
        places = [(memory.total, host, "the host")]
    elif on_host:
        places = [(memory.stored, host, "the host"), (memory.working, device, "the device")]
    else:
        places = [(memory.total, device, "the device")]
    for needed, free, where in places:
        if needed > free:
            raise ValueError(
                f"the classifier takes {memory} on each process, {needed / GB:.2f} GB of it on "
                f"{where}, which has {free / GB:.2f} GB free: start more processes, or choose a "
                "smaller --emb-size or --sample-rate"
            )
