"""Images in folders: at any depth, or in one folder for each identity."""

from __future__ import annotations

from collections.abc import Iterable
import os
from pathlib import Path

# What is taken for an image; whether it is one, reading it shows.
ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm")


def is_image(path: Path) -> bool:
    """Tell by its ending whether a file is taken for an image."""
    return path.suffix.lower() in ENDINGS


def find_images(folder: str | os.PathLike) -> list[Path]:
    """Return all image files below a folder, sorted by path, hidden ones left out.

    Raises FileNotFoundError if the folder is absent, ValueError if it holds no image.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder.absolute()}")
    paths = sorted(
        path
        for path in folder.rglob("*")
        if is_image(path)
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    if not paths:
        raise ValueError(f"{folder}: no image below it ({' '.join(ENDINGS)})")
    return paths


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
        if is_image(path)
    ]
    if not images:
        raise ValueError(
            f"{folder}: no images in folder/IDENTITY/; known endings: {' '.join(ENDINGS)}"
        )
    return images
