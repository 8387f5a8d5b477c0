"""An ONNX file of others, or of our own, as a network of this project."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..checkpoints.network import StoredNetwork
from ..engines.model_input import COLORS
from ..engines.onnx_file import parse_onnx
from ..engines.original import original_network
from ..limits import shown
from .importer import Importer
from .preprocessing import Preprocessing

OWN_FACTS = {"input_range": "0..255", "color_order": "RGB", "layout": "NCHW"}  # of our exports


@dataclass
class Imported:
    """A network, ready to be written.

    fed: what the file itself is fed, for comparing.  size: (height, width) of its images.  input,
    output: the names of image and embedding.  batch: images that it takes at a time, None for any.
    is_channels_last: of its images.  notes: for the user.  restored: norms made of biases.
    """

    network: StoredNetwork
    fed: Preprocessing
    size: tuple[int, int]
    input: str
    output: str
    batch: int | None
    is_channels_last: bool = False
    notes: list[str] = field(default_factory=list)
    restored: list[str] = field(default_factory=list)


def import_onnx(
    data: bytes,
    source: str,
    *,
    color: str | None = None,
    mean: tuple[float, ...] | None = None,
    scale: tuple[float, ...] | None = None,
    size: tuple[int, int] | None = None,
    output: str = "",
    restore: bool = True,
) -> Imported:
    """Return the network of an ONNX file's bytes.

    source: the file, for messages.  color, mean, scale: what it is fed: (x - mean) / scale of raw
    pixels, "rgb" or "bgr"; None where the file says it.  size: (height, width), None as the file
    says.  output: which, of several.  restore: make trainable norms of the biases that folded ones
    left.  Raises ValueError, with operator and node, for what cannot be imported exactly, or is
    no face network.
    """
    model = parse_onnx(data, source)
    facts = {entry.key: entry.value for entry in model.metadata_props}
    try:
        if OWN_FACTS.items() <= facts.items():
            color, mean, scale = color or "rgb", mean or (0.0,), scale or (1.0,)
        if color is None:
            raise ValueError(
                f"the order of its colours is not in the file: give --input-color, one of "
                f"{', '.join(COLORS)}, as it was trained"
            )
        fed = Preprocessing(color, mean, scale, size)
        name = _chosen_output(model, output)
        importer = Importer(model, source, fed, restore=restore)
        given = importer.enter()
        network, restored = original_network(model, source), []
        if network is None:
            network, restored = importer.network(name), importer.restored
        else:
            importer.notes.append(
                "an export of this project: its own symbol and parameters come back"
            )
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None
    return Imported(
        network, fed, importer.size, given, name, importer.stored_batch,
        importer.is_channels_last, importer.notes, restored,
    )  # fmt: skip


def _chosen_output(model: Any, wanted: str) -> str:
    names = [value.name for value in model.graph.output]
    listed = ", ".join(map(shown, names[:8])) or "none"
    if wanted and wanted not in names:
        raise ValueError(f"--output {wanted!r}: it has no such output; there are {listed}")
    if not wanted and len(names) != 1:
        raise ValueError(
            f"it has {len(names)} outputs ({listed}): name the embedding by --output; if none of "
            "them is one, it is no face network, such as a detector"
        )
    return wanted or names[0]
