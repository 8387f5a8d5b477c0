"""Folders of images with one folder for each identity."""

from __future__ import annotations

from collections.abc import Iterable
import os
from pathlib import Path

IMAGE_ENDINGS = frozenset([".jpg", ".jpeg", ".png", ".pgm", ".ppm", ".bmp", ".webp"])


def folder_images(
    folder: str | os.PathLike, identities: Iterable[str] | None = None
) -> list[tuple[str, Path]]:
    """Return (identity, path) of every image under folder/IDENTITY/, sorted by name.

    identities restricts them.  Raises FileNotFoundError for a missing folder or identity and
    ValueError if there are no images.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; it must hold one folder per identity")
    present = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    names = present if identities is None else list(dict.fromkeys(identities))
    missing = sorted(set(names) - set(present))
    if missing:
        raise FileNotFoundError(f"{folder}: no folder for identity {', '.join(missing[:10])}")
    images = [
        (name, path)
        for name in names
        for path in sorted((folder / name).iterdir(), key=lambda path: path.name)
        if path.suffix.lower() in IMAGE_ENDINGS
    ]
    if not images:
        raise ValueError(f"{folder}: no images in folder/IDENTITY/; known endings: "
                         f"{' '.join(sorted(IMAGE_ENDINGS))}")  # fmt: skip
    return images
