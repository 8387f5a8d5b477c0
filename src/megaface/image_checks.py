"""The images of a MegaFace list, looked at before the first of them is embedded."""

from __future__ import annotations

from collections.abc import Sequence
import logging
from pathlib import Path

from tqdm import tqdm

from ..data.image_files import image_fault
from ..data.list_faults import all_faults, is_of_other_data, names_in, two_of_each
from ..embedding.row_store import partial_path

log = logging.getLogger(__name__)


def check_images(list_path: Path, names: Sequence[str], root: Path, store: Path | None) -> None:
    """Tell what of the images still to embed is missing or no image, before the first is.

    Raises ValueError if almost all are missing, or if a store, which has a row for every image,
    would lack any.
    """
    faults = {
        name: fault
        for name in tqdm(names, f"check {root.name}", unit="image", disable=None)
        if (fault := image_fault(root / name))
    }
    if not faults:
        return
    num_missing = list(faults.values()).count("missing")
    lines = [f"{root / name}: {fault}" for name, fault in faults.items()]
    cure = (
        f"a store has a row for every image: repair them, or take them off the list and delete "
        f"{partial_path(store).name}" if store else "they fail, the others are embedded"
    )  # fmt: skip
    if is_of_other_data(len(names) - num_missing, len(names)):
        sides = two_of_each(faults, names_in(root), ("the list", str(root)))
        raise ValueError(
            f"{list_path}: {num_missing} of {len(names)} images are missing; is {root} the right "
            f"folder? {sides}"
        )
    message = all_faults(
        f"{list_path}: {len(faults)} of {len(names)} images are missing or none:", lines, cure
    )
    if store:
        raise ValueError(message)
    log.warning("%s", message)
