"""What `arcface-rec card` does."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
import sys

from ..cores import usable_cores
from ..data.dataset import FaceDataset
from ..embedding.source_text import parse_source
from ..files import replace_file
from .card import card, drawn, known_provenance
from .card_page import write_card_page
from .inputs import faces_of, reference_of


def write_card(arguments: argparse.Namespace) -> None:
    """Write OUT/card.html and OUT/card.json.

    Raises ValueError for vectors that are not those of the images, and for a sample below 1.
    """
    if arguments.sample < 1:
        raise ValueError(f"--sample {arguments.sample}: at least 1")
    if arguments.against and not arguments.vectors:
        raise ValueError("--against: give --vectors too; identities are compared through them")
    for text in filter(None, [arguments.vectors]):
        if not parse_source(text).is_vectors:
            raise ValueError(f"--vectors {text}: give ready vectors, as arcface-embed writes them")
    out = Path(arguments.out or arguments.dataset)
    provenance = known_provenance(out / "card.json")
    dataset = FaceDataset(arguments.dataset)
    try:
        faces, references = None, []
        if arguments.vectors:
            faces = faces_of(dataset, arguments.vectors, arguments, out)
            references = [
                reference_of(text, arguments.vectors, arguments, out) for text in arguments.against
            ]
        keys, identities, sample = drawn(
            dataset, arguments.sample, arguments.seed, num_threads=usable_cores(),
            progress=sys.stderr.isatty(),
        )  # fmt: skip
        facts = card(dataset, keys, identities, sample, faces, references, provenance)
        name = provenance["name"] or Path(arguments.dataset).resolve().name
        write_card_page(out / "card.html", name, facts, dataset, sample)
    finally:
        dataset.close()
    with replace_file(out / "card.json", "w", encoding="utf-8") as file:
        json.dump(facts, file, indent=1, ensure_ascii=False)
    empty = [field for field, words in provenance.items() if not words]
    print(f"wrote {out / 'card.html'} and {out / 'card.json'}: {len(keys)} images, "
          f"{len(sample.keys)} measured")  # fmt: skip
    if empty:
        print(f"fill in by hand in card.json, then write the card again: {', '.join(empty)}")
