"""The data card as one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from ..data.dataset import FaceDataset
from ..data.images import CROP_PIXELS, decode_bgr
from ..report.page import Section, write_page
from ..report.pictures import jpeg
from ..report.svg import element, figure_svg, text
from ..report.tables import Cell, scrolling, table
from .card import PROVENANCE, Sample

COLUMNS, ROWS = 15, 8
SIDE = 72  # pixels of a face on the contact sheet
WIDTH, HEIGHT, BINS = 420, 130, 48
MEASURED = {
    "brightness": "mean of grey, 0 to 255",
    "contrast": "deviation of grey, 0 to 255",
    "sharpness": "variance of the Laplacian, low is blurred",
    "bytes": "of the encoded image",
}


def write_card_page(path: Path, name: str, facts: dict, dataset: FaceDataset, sample: Sample):
    """Write the page of a card."""
    counts = facts["counts"]
    sampled = "all images" if sample.is_all else (
        f"{len(sample.keys):,} images drawn by seed {sample.seed}"
    )  # fmt: skip
    sentence = text(
        f"{counts['images']:,} images of {counts['identities']:,} identities, {counts['least']} to "
        f"{counts['most']} each, median {counts['median']:g}; {counts['bytes'] / 2**20:,.1f} MiB. "
        f"Measured on {sampled}."
    )
    sections = [
        Section("Images per identity", "", _per_identity(facts)),
        Section("Faces", sampled, contact_sheet(dataset, sample)),
        Section("Images", sampled, _images(facts, sample)),
        Section("Duplicates and overlap", "", _duplicates(facts)),
        Section("Provenance and licence", "to be filled in, in the JSON", _provenance(facts)),
    ]
    write_page(path, f"Data card: {name}", [sentence], sections)


def contact_sheet(dataset: FaceDataset, sample: Sample) -> str:
    """Return a picture of faces of the sample, spread evenly over the identities."""
    order = np.argsort(sample.identities, kind="stable")
    count = min(len(order), COLUMNS * ROWS)
    chosen = order[np.arange(count) * len(order) // count]
    sheet = np.zeros((-(-count // COLUMNS), COLUMNS, SIDE, SIDE, 3), np.uint8)
    for number, place in enumerate(chosen.tolist()):
        try:
            key = int(sample.keys[place])
            payload = dataset.records.read(key).payload
            bgr = decode_bgr(payload, f"record {key}", max_pixels=CROP_PIXELS)
        except ValueError:
            continue
        sheet[number // COLUMNS, number % COLUMNS] = cv2.resize(
            bgr, (SIDE, SIDE), interpolation=cv2.INTER_AREA
        )
    whole = sheet.swapaxes(1, 2).reshape(len(sheet) * SIDE, COLUMNS * SIDE, 3)
    return scrolling("contact sheet", element("figure", jpeg(whole, f"{count} faces")))


def _per_identity(facts: dict) -> str:
    rows = []
    for row in facts["per_identity"]:
        first, last = row["from"], row["to"]
        words = f"{first} and more" if last is None else f"{first}" if first == last else (
            f"{first} to {last}")  # fmt: skip
        rows.append((text(words), [Cell(f"{row['identities']:,}"), Cell(f"{row['images']:,}")]))
    counts = facts["counts"]
    note = (
        f"As even as {counts['effective']:,} identities of equal size; the largest 1 % hold "
        f"{100 * counts['share_of_largest_1_percent']:.1f} % of the images; {counts['single']:,} "
        f"have a single one; property counts {counts['classes']:,}."
    )
    head = ("images of an identity", "identities", "images")
    return table("images per identity", head, rows, is_compared=False) + element("p", text(note))


def _images(facts: dict, sample: Sample) -> str:
    images = facts["images"]
    figures = [_histogram(name, words, sample.measures.column(name))
               for name, words in MEASURED.items()]  # fmt: skip
    head = ["quantile", *(f"{100 * at:g} %" for at in images["quantiles_at"])]
    rows = [(text(name), [Cell(f"{value:,.1f}") for value in images[name]]) for name in MEASURED]
    sizes = "; ".join(f"{one['images']:,} of {one['height']}x{one['width']} (height x width)"
                      for one in images["sizes"])  # fmt: skip
    notes = [f"Sizes: {sizes}.", f"Pose: {facts['pose']}."]
    if images["grey_share"] is not None:
        notes.append(f"Grey images: {100 * images['grey_share']:.1f} %.")
    if facts["num_undecodable"]:
        notes.append(f"{facts['num_undecodable']:,} images do not decode: `arcface-rec check`.")
    return (
        element("div", *figures, class_="charts")
        + table("quantiles", head, rows, is_compared=False)
        + "".join(element("p", text(note)) for note in notes)
    )


def _histogram(name: str, words: str, values: np.ndarray) -> str:
    if not len(values):
        return ""
    values = np.asarray(values, np.float64)  # float32 has no 48 steps in the range of equal values
    low, high = np.quantile(values, (0.001, 0.999))
    counts, _ = np.histogram(values, BINS, (float(low), float(max(high, low + 1e-6))))
    step, top = WIDTH / BINS, max(int(counts.max()), 1)
    floor = HEIGHT - 20
    bars = "".join(
        f"M{number * step:.1f} {floor}v{-count / top * (floor - 10):.1f}h{step:.1f}V{floor}z"
        for number, count in enumerate(counts.tolist())
        if count
    )
    told = f"{len(values):,} images from {low:.1f} to {high:.1f}, median {np.median(values):.1f}"
    parts = [
        element("path", d=bars, class_="area s0"),
        element("path", d=f"M0 {floor}H{WIDTH}", class_="base"),
        element("text", text(f"{low:,.0f}"), x=0.0, y=float(HEIGHT - 5)),
        element("text", text(f"{high:,.0f}"), x=float(WIDTH), y=float(HEIGHT - 5),
                text_anchor="end"),
    ]  # fmt: skip
    svg = figure_svg(WIDTH, HEIGHT, name, told, *parts)
    caption = element("figcaption", element("b", text(name)), " ", element("span", text(words)))
    return element("figure", caption, svg, class_="chart")


def _duplicates(facts: dict) -> str:
    found = facts["duplicates"]
    lines = [
        f"{found['equal_images']:,} images have the bytes of another ({found['equal_groups']:,} "
        f"groups, {found['equal_between_identities']:,} of them across identities)."
    ]
    nearly = found["nearly_equal"]
    if nearly is None:
        lines.append("Nearly equal images: not sought; give --vectors.")
    else:
        lines.append(
            f"At a cosine of {nearly['cosine']}: {nearly['of_one_identity']:,} images are nearly "
            f"equal to an earlier one of their identity, {nearly['between_identities']:,} to one "
            "of another."
        )
    for one in facts["overlap"]:
        levels = ", ".join(f"{n:,} at {at}" for at, n in one["identities_at_cosine"].items())
        lines.append(f"Identities near to {one['against']} by cosine of centres: {levels}; the "
                     f"nearest {one['highest']}.")  # fmt: skip
    if not facts["overlap"]:
        lines.append("Overlap with pair sets and other datasets: not sought; give --against.")
    return "".join(element("p", text(line)) for line in lines)


def _provenance(facts: dict) -> str:
    rows: Sequence = [
        element("tr", element("th", text(name.replace("_", " ")), scope="row"),
                element("td", text(words) if words else element("i", text(
                    f"not filled in: {PROVENANCE.get(name, '')}"))))
        for name, words in facts["provenance"].items()
    ]  # fmt: skip
    return element("table", element("tbody", *rows), class_="words")
