"""The teacher of --teacher: the vectors that a large network gives for the images of a dataset.

Of every image there is one vector, that of the image as it is packed: embeddings of it and of its
mirror image added, as they are verified.  What augmentation does to the pixels that the trained
network sees does not change it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
import hashlib
import logging
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from ..checkpoints.last_state import record_of
from ..checkpoints.names import existing_params
from ..checkpoints.params import read_params
from ..config import TeacherConfig, TrainConfig, ignored_options
from ..data.dataset import FaceDataset
from ..embedding.ready_vectors import ReadyVectors
from ..embedding.source_text import SourceText, parse_source
from ..embedding.vector_index import check_index
from ..losses import Loss
from ..losses.distill import MAP, TEACHER, Taught
from ..megaface.features import vector_faults
from .machines import Machines

if TYPE_CHECKING:
    from .engine import Engine
    from .plan import Plan

ROWS_AT_ONCE = 4096
DIGITS = 16  # of a fingerprint

logger = logging.getLogger(__name__)


class Teacher(ABC):
    """Vectors of images.

    text: as --teacher gives it.  size: T.  fingerprint: of what decides the vectors, 16
    hexadecimal digits.
    """

    text: str
    size: int
    fingerprint: str

    @abstractmethod
    def prepare(self, machines: Machines) -> None:
        """Make or check all vectors.  Raises ValueError for what cannot be learned from."""

    @abstractmethod
    def vector(self, source: int, key: int) -> np.ndarray:
        """Return the vector of an image, float32 (T,), of any length but 0.

        source: number of the dataset.  May be called from several threads after prepare().
        """


def check_teacher(config: TrainConfig, loss: Loss) -> None:
    """Raise ValueError for options of a teacher that is not there, and a loss that needs one."""
    if config.teacher:
        return
    if loss.needs_teacher:
        raise ValueError(
            f"--loss-type {config.loss_type} learns from a teacher alone: name it with --teacher, "
            "a checkpoint PREFIX,NUMBER, FILE.onnx or ready vectors; or choose another loss"
        )
    _refuse_ignored(config, {"teacher"}, "a run without --teacher")


def _refuse_ignored(config: TrainConfig, used: set[str], by: str) -> None:
    if faults := ignored_options(config, TeacherConfig, used, by):
        raise ValueError("\n".join(faults))


def open_teacher(
    config: TrainConfig, datasets: Sequence[FaceDataset], engine: Engine
) -> Teacher | None:
    """Return the teacher that the options name; None without.  engine: that trains.

    Raises FileNotFoundError or ValueError, which name --teacher, for one that is not there or does
    not belong to the datasets.
    """
    if not config.teacher:
        return None
    try:
        source = parse_source(config.teacher)
        if source.is_vectors:
            used = {"teacher", "teacher_loss", "teacher_weight"}
            _refuse_ignored(config, used, "a file of ready vectors")
            return ReadyTeacher(source, config, datasets)
        from .teacher_network import NetworkTeacher

        return NetworkTeacher(source, config, datasets, engine)
    except (ValueError, FileNotFoundError) as error:
        raise type(error)(f"--teacher {config.teacher}: {error}") from error


def taught(loss: Loss, teacher: Teacher | None, config: TrainConfig) -> Loss:
    """Return a loss with the distance to a teacher beside it, or as it is without one."""
    if teacher is None:
        return loss
    return Taught(
        loss.num_classes,
        loss,
        config.teacher_loss,
        config.teacher_weight,
        teacher.size,
        config.emb_size,
    )


def without_map_of_another(
    checkpoint: str, given: Mapping[str, Any], teacher: str
) -> Mapping[str, Any]:
    """Return parameters of a checkpoint without the map to the vectors of another teacher.

    Only a last state has one, and says whose it is.  teacher: the fingerprint of this run's.
    """
    if not teacher or MAP not in given:
        return given
    path = existing_params(checkpoint)
    record = record_of(read_params(path), path)
    if isinstance(record, dict) and record.get("teacher") == teacher:
        return given
    logger.warning(
        "pretrained: the map of %s leads to the vectors of another teacher or of other images; it "
        "is drawn anew",
        path,
    )
    return {name: array for name, array in given.items() if name != MAP}


def of_images(plan: Plan) -> dict[str, tuple[tuple[int, ...], Any]]:
    """Return what each image brings to a batch, as BatchSource takes it."""
    return {TEACHER: ((plan.teacher.size,), plan.teacher.vector)} if plan.teacher else {}


def short_digest(*parts: bytes) -> str:
    """Return 16 hexadecimal digits that change with the parts."""
    return hashlib.sha256(b"\n".join(parts)).hexdigest()[:DIGITS]


class ReadyTeacher(Teacher):
    """Vectors of a file.  Raises ValueError if they are not those of the images of a dataset."""

    def __init__(self, source: SourceText, config: TrainConfig, datasets: Sequence[FaceDataset]):
        self.text = config.teacher
        if len(datasets) > 1:
            raise ValueError(
                f"a file holds the vectors of one dataset, and --data-dir names {len(datasets)}; "
                "give a network, or merge them"
            )
        (dataset,) = datasets
        self._ready = ready = ReadyVectors(source.model, source.options)
        self.size = ready.dim
        self._keys = np.asarray(dataset.image_keys)
        names = [] if ready.names is None else [list(map(str, self._keys.tolist()))]
        self._places = ready.places(len(self._keys), names, str(dataset.folder))
        if not config.images_filter and len(ready.vectors) != len(self._keys):
            raise ValueError(
                f"{ready.path}: {len(ready.vectors)} vectors for the {len(self._keys)} images of "
                f"{dataset.folder}: those of another dataset"
            )
        check_index(ready.path, dataset, self._keys, in_order=ready.names is None)
        self.fingerprint = short_digest(ready.fingerprint.encode(), self._places.tobytes())

    def prepare(self, machines: Machines) -> None:
        places = self._places
        for begin in tqdm(
            range(0, len(places), ROWS_AT_ONCE), desc="teacher", unit="part", disable=None
        ):
            part = places[begin : begin + ROWS_AT_ONCE]
            if faults := self._ready.faults(part) or vector_faults(self._sums(part)):
                position, fault = min(faults.items())
                raise ValueError(
                    f"--teacher {self.text}: row {part[position]}, of record "
                    f"{self._keys[begin + position]}: {fault}"
                )

    def vector(self, source: int, key: int) -> np.ndarray:
        place = self._places[np.searchsorted(self._keys, key)]
        return self._sums(place[None])[0]

    def _sums(self, places: np.ndarray) -> np.ndarray:
        plain, flipped = self._ready.rows(places)
        return plain if plain is flipped else plain + flipped
