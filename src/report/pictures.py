"""Pictures of faces within a page: small JPEGs with captions that name them."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import cv2
import numpy as np

from .svg import element, name_of_file, text

QUALITY = 80


def jpeg(bgr: np.ndarray, alternative: str) -> str:
    """Return an image, uint8 BGR (H, W, 3), as an <img> that holds it.

    alternative: what stands in its place where it cannot be seen.
    """
    encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
    data = base64.b64encode(np.asarray(encoded).tobytes()).decode("ascii")
    height, width = bgr.shape[:2]
    return (
        f'<img src="data:image/jpeg;base64,{data}" width="{width}" height="{height}" '
        f'alt="{text(alternative)}">'
    )


def picture(image: str, lines: Sequence[str], kind: str | None = None) -> str:
    """Return an image with the lines of its caption below.  image: markup, may be empty."""
    words = " ".join(element("span", name_of_file(line)) for line in lines)
    return element("figure", image, element("figcaption", words), class_=kind)
