"""The flags that say what runs a network, where and on which input, for scripts that embed."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ..checkpoints.network import model_fingerprint
from ..cli import parse_size
from ..engines.arguments import add_engine_arguments, chosen_gpu
from ..engines.choice import choose_engine
from ..engines.model_input import (
    ARCFACE,
    COLORS,
    LAYOUTS,
    TEMPLATES,
    UNDECLARED,
    Declaration,
    numbers,
)
from ..engines.presets import PRESETS
from ..engines.session import DTYPES
from .embedder import Embedder
from .source_text import NETWORK, SourceText, declarations, parse_source

DECLARING = ("preset", "input_color", "mean", "scale", "layout", "output_name")


def add_embedding_arguments(parser: argparse.ArgumentParser, *, auto: bool = False) -> None:
    """Add --gpu, --engine and --dtype, and those of ONNX files of others.

    auto: --dtype may be "auto", which is its default then; the program decides.
    """
    add_engine_arguments(parser)
    parser.add_argument(
        "--dtype",
        choices=("auto", *DTYPES) if auto else DTYPES,
        default="auto" if auto else "float32",
        help="what products are computed in; bfloat16 is faster where the processor has it, and "
        "what it costs is said"
        + ("; auto takes it where the embeddings stay the same" if auto else "")
        + " (%(default)s)",
    )
    add_input_arguments(parser)


def add_network_arguments(parser: argparse.ArgumentParser, batch_size: int) -> None:
    """Add those, and --batch-size."""
    add_embedding_arguments(parser)
    parser.add_argument(
        "--batch-size", type=int, default=batch_size, help="images per forward pass (%(default)s)"
    )


def add_input_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what declares the input of ONNX files of others; FILE.onnx@... goes before."""
    group = parser.add_argument_group(
        "ONNX files of others",
        "fed (x - mean) / scale of pixels x, 0..255; FILE.onnx@PRESET or FILE.onnx@color=bgr;mean="
        "127.5;.. declares one of several",
    )
    taken = {option for action in parser._actions for option in action.option_strings}
    group.add_argument(
        "--preset", choices=PRESETS.names(), help="what a published family is fed (default: none)"
    )
    if "--image-size" not in taken:
        parser.set_defaults(declares_size=True)
        group.add_argument(
            "--image-size",
            metavar="HEIGHT,WIDTH",
            help="of its crops in pixels, where the file leaves that free (default: the file's)",
        )
    group.add_argument(
        "--input-color",
        choices=COLORS,
        help="order of the channels it was trained on (default: the preset's)",
    )
    for name, words in (("mean", "subtracted from pixels"), ("scale", "pixels are divided by it")):
        if f"--{name}" in taken:  # a published flag of another meaning
            continue
        group.add_argument(
            f"--{name}",
            metavar="X or R,G,B",
            help=f"{words}, grey levels; three numbers in the order of the channels (default: the "
            "preset's, or 0 and 1 where the graph is seen to scale its pixels itself)",
        )
    group.add_argument(
        "--layout", choices=LAYOUTS, help="of its images (default: as its channels tell)"
    )
    group.add_argument(
        *(("--output-name",) if "--output" in taken else ("--output-name", "--output")),
        metavar="NAME",
        help="which of several outputs is the embedding (default: the only one)",
    )
    group.add_argument(
        "--crop-template",
        choices=TEMPLATES,
        default=ARCFACE,
        help="how the crops that are embedded are aligned: arcface, by five landmarks, or box, the "
        "detector's box; a network of the other is refused (%(default)s)",
    )


def open_embedder(
    arguments: argparse.Namespace,
    model: str | SourceText,
    *,
    batch_size: int | None = None,
    flip: bool = True,
) -> Embedder:
    """Return the embedder of a checkpoint or ONNX file as the flags say.

    batch_size: instead of --batch-size.  Raises as Embedder does.
    """
    source = model if isinstance(model, SourceText) else parse_source(model)
    if source is not model:
        check_declared(arguments, [source])
    declared, preset = _declared(arguments, source)
    embedder = Embedder(
        source.model,
        chosen_gpu(arguments),
        batch_size=arguments.batch_size if batch_size is None else batch_size,
        flip=flip,
        engine=arguments.engine,
        dtype=arguments.dtype,
        declared=declared,
        preset=preset,
    )
    crops = getattr(arguments, "crop_template", ARCFACE)
    wanted = embedder.input.template if embedder.input else ARCFACE
    if wanted != crops:
        raise ValueError(
            f"{source.model}: wants crops aligned as {wanted!r}; these are taken for {crops!r} "
            "(--crop-template says how they are aligned)"
        )
    return embedder


def check_declared(arguments: argparse.Namespace, sources: Sequence[SourceText]) -> None:
    """Raise ValueError if flags declare the input of ONNX files, and none of the sources is one
    that they could mean."""
    if any(source.model.endswith(NETWORK) and not source.options for source in sources):
        return
    names = DECLARING + (("image_size",) if getattr(arguments, "declares_size", False) else ())
    given = [name for name in names if isinstance(getattr(arguments, name, None), str)]
    if given:
        raise ValueError(
            f"--{given[0].replace('_', '-')} declares the input of ONNX files of others, and no "
            "model is one without an @ of its own; leave it out, or write FILE.onnx@NAME=VALUE"
        )


def embedding_facts(arguments: argparse.Namespace, model: str | SourceText) -> dict[str, str]:
    """Return what decides the embeddings besides the images: model, engine, dtype, and what is
    declared of the input of an ONNX file."""
    source = model if isinstance(model, SourceText) else parse_source(model)
    chosen = choose_engine(source.model, arguments.engine, chosen_gpu(arguments), arguments.dtype)
    facts = {
        "model": model_fingerprint(source.model), "engine": chosen.name, "dtype": chosen.dtype
    }  # fmt: skip
    declared, preset = _declared(arguments, source)
    words = {"declared": declared.describe(), "preset": preset.describe()}
    return facts | {name: text for name, text in words.items() if text}


def _declared(arguments: argparse.Namespace, source: SourceText) -> tuple[Declaration, Declaration]:
    """Return what is declared of a model's input, and what its preset declares.

    What stands in its own text goes before the flags, and a checkpoint needs neither.
    """
    if not source.model.endswith(NETWORK):
        if source.options:
            raise ValueError(f"{source.model}: is no ONNX file; leave out what stands after @")
        return UNDECLARED, UNDECLARED
    if source.options:
        return declarations(source)

    def flag(name: str) -> str | None:
        value = getattr(arguments, name, None)
        return value if isinstance(value, str) else None

    size, preset = flag("image_size"), flag("preset")
    return Declaration(
        size=parse_size(size, channels=True) if size else None,
        color=flag("input_color"),
        mean=numbers(flag("mean"), "--mean") if flag("mean") else None,
        scale=numbers(flag("scale"), "--scale") if flag("scale") else None,
        layout=flag("layout"),
        output=flag("output_name"),
    ), (PRESETS[preset].declared if preset else UNDECLARED)
