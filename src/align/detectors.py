"""The detectors by name.  Another one is its file, and a line here."""

from __future__ import annotations

from collections.abc import Mapping
import os
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..registry import Registry
from .face import Face
from .mtcnn import MtcnnDetector
from .trust import Trust
from .yunet import YunetDetector

# Called with (ctx, engine=, min_size=, model_dir=), where model_dir has a default, and what is its
# own; is_in(folder) tells whether a folder holds its networks.
DETECTORS = Registry("detector", "--detector")
DETECTORS.register("mtcnn")(MtcnnDetector)
DETECTORS.register("yunet")(YunetDetector)


class Detector(Protocol):
    """What finds faces, safe to share between threads.  MtcnnDetector says what each call means.

    min_size: pixels, smallest face that detect looks for; a copy may be given another.
    trust: what its scores tell, None where nobody has measured that.
    """

    min_size: int
    trust: Trust | None

    def detect(self, image: np.ndarray) -> list[Face]: ...

    def detect_limited(self, image: np.ndarray) -> list[Face]: ...

    def detect_in_box(self, image: np.ndarray, box: np.ndarray) -> Face | None: ...


def open_detector(
    name_or_folder: str | os.PathLike,
    ctx: Any = None,
    *,
    engine: str = "auto",
    min_size: int = 20,
    own: Mapping[str, Mapping[str, Any]] | None = None,
) -> Detector:
    """Return the detector whose networks a folder holds, or one of DETECTORS from its usual folder.

    What is a folder is taken for one, even if it is called like a detector.  ctx, engine: what
    runs it, as choose_engine takes them.  own: by name, options that only that detector has.
    Raises FileNotFoundError if the networks are absent, ValueError for options out of range.
    """
    folder, name = Path(name_or_folder), str(name_or_folder)
    options: dict[str, Any] = {"engine": engine, "min_size": min_size}
    if folder.is_dir() or name not in DETECTORS:
        name = next((one for one in DETECTORS if DETECTORS[one].is_in(folder)), "mtcnn")
        options["model_dir"] = folder
    return DETECTORS[name](ctx, **options, **(own or {}).get(name, {}))
