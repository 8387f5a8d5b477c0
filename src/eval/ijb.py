"""IJB-B and IJB-C: template verification 1:1 and open-set identification 1:N.

    arcface-ijb --data-dir IJB/IJBC --target IJBC --model model/r100,1 --features ijbc_r100.npy
    arcface-ijb --data-dir IJB/IJBC --model model/r100,1 --features ijbc_r100.npy --all-switches
    arcface-ijb --data-dir IJB/IJBC --model img_feats.npy@joined
    arcface-ijb --data-dir IJB/IJBC --protocol 1:1 --scores vendor.txt --score-order higher

All lists and image files are checked first.  The images are aligned, embedded once and kept in
--features (an interrupted run goes on); then every switch of the aggregation costs seconds.  Ready
vectors need no images: a row for each line of the list of templates, or names.  TAR
is exact: the largest whose FAR does not exceed the one named (the published script takes the
nearest point of the curve).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
import hashlib
from itertools import product
from pathlib import Path
import sys

from arcface_mxnet.align.crop import align_face
from arcface_mxnet.align.template import template
from arcface_mxnet.cli import run
from arcface_mxnet.data.images import read_image
from arcface_mxnet.embedding.arguments import add_network_arguments
from arcface_mxnet.embedding.sources import Embeddings, Images, open_sources, source_facts
from arcface_mxnet.embedding.stored_embeddings import read_embeddings
from arcface_mxnet.eval.aliases import add_report_arguments
from arcface_mxnet.eval.evaluation import RateAtFar, rates_at_fars
from arcface_mxnet.eval.ijb_checks import ProtocolLists, present_faces, read_protocols
from arcface_mxnet.eval.ijb_lists import GALLERIES, FaceList, read_faces
from arcface_mxnet.eval.ijb_report import IjbEntry, pair_steps, write_ijb_report
from arcface_mxnet.eval.score_files import (
    ScoreFile,
    add_source_arguments,
    check_names,
    parse_score_file,
    read_scores,
)
from arcface_mxnet.eval.scores import impostors_needed
from arcface_mxnet.eval.templates import (
    NORMS,
    SearchResult,
    TemplateOptions,
    TemplateSums,
    mean_result,
    pair_cosines,
    rows_of,
    search,
)
from arcface_mxnet.given import check_outputs, refuse_changed
from arcface_mxnet.report.names import model_names
import cv2
import numpy as np

SIZE = (112, 112)  # height, width
PROTOCOLS = ("1:1", "1:N")
SWITCHES = ("norm", "detector_score", "flip")


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="arcface-ijb",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--data-dir", required=True, help="folder with loose_crop/ and meta/")
    add("--target", choices=tuple(GALLERIES), default="IJBC", help="benchmark (%(default)s)")
    add_source_arguments(parser)
    add("--protocol", default="1:1,1:N", help="what is evaluated (%(default)s)")
    add("--norm", choices=NORMS, default="keep", help="length of an image's embedding: keep it, so "
        "that clear images weigh more, or unit (%(default)s)")  # fmt: skip
    add("--detector-score", type=int, choices=(0, 1), default=1, help="1: multiply embeddings by "
        "the face detector's score (%(default)s)")  # fmt: skip
    add("--flip", type=int, choices=(0, 1), default=1, help="1: add the embedding of the mirrored "
        "image (%(default)s)")  # fmt: skip
    add("--skip-missing", action="store_true", help="leave missing or bad images out of their "
        "templates; every result says how many (default: an error that names them)")  # fmt: skip
    add("--all-switches", action="store_true", help="evaluate all eight of the three switches")
    add_report_arguments(parser, "rates, curves, what was compared")
    add_network_arguments(parser, batch_size=64)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    arguments = build_parser().parse_args(argv)
    return run(lambda: evaluate(arguments))


def evaluate(arguments: argparse.Namespace) -> None:
    """Embed what is not embedded yet and print the tables."""
    protocols = [name.strip() for name in arguments.protocol.split(",")]
    if not set(protocols) <= set(PROTOCOLS):
        raise ValueError(f"--protocol {arguments.protocol}: known are {', '.join(PROTOCOLS)}")
    if arguments.scores and protocols != ["1:1"]:
        raise ValueError("--scores are of pairs: give --protocol 1:1, which they can answer")
    check_outputs({"--report": arguments.report})
    if not arguments.model:
        of_models = (*SWITCHES, "all_switches", "features", "skip_missing")
        refuse_changed(build_parser(), arguments, of_models, "--scores without --model")
    if arguments.all_switches:
        refuse_changed(build_parser(), arguments, SWITCHES, "--all-switches, which takes both,")
    sources = open_sources(arguments.model, arguments, arguments.features)
    scores = [parse_score_file(text, arguments.score_order) for text in arguments.scores]
    check_names([*(one.name for one in sources), *(one.name for one in scores)])
    if not sources and not scores:
        raise ValueError("give --model, or --scores")
    names = model_names([one.name for one in (*sources, *scores)], arguments.alias)
    root = Path(arguments.data_dir)
    faces = read_faces(root, arguments.target)
    lists = read_protocols(root, arguments.target, protocols, faces.template_ids)
    is_one = len(sources) + len(scores) == 1
    entries = []
    for source, alias in zip(sources, names, strict=False):
        head = "" if is_one else f"{source.name}: "
        of_source = _evaluate_source(source, head, faces, lists, arguments)
        entries += [one.called(alias, is_one=len(of_source) == 1) for one in of_source]
    for one, alias in zip(scores, names[len(sources) :], strict=True):
        *_, is_genuine = lists.pairs
        print(f"{'' if is_one else f'{one.name}: '}{arguments.target}, ready scores")
        found = read_scores(one, arguments.target, len(is_genuine))
        rates = rates_at_fars(found, is_genuine)
        print_rates(rates, one)
        entries.append(
            IjbEntry(
                alias, one.name, one.facts(arguments.target), "as given", rates=rates,
                steps=pair_steps(found, is_genuine),
                unit="score" if one.order == "higher" else "−score",
            )
        )  # fmt: skip
    if arguments.report:
        write_ijb_report(arguments.report, arguments.target, entries)


def _evaluate_source(
    source: Embeddings,
    name: str,
    faces: FaceList,
    lists: ProtocolLists,
    arguments: argparse.Namespace,
) -> list[IjbEntry]:
    """Print the tables of one source and return them.  name: what begins their heads."""
    list_path = Path(arguments.data_dir, "meta", f"{arguments.target.lower()}_face_tid_mid.txt")
    faces, num_missing = present_faces(
        faces,
        list_path,
        skip=arguments.skip_missing,
        num_done=source.num_ready(face_images(faces, arguments.target)),
    )
    note = f"; {num_missing} missing images left out of their templates" if num_missing else ""
    images = face_images(faces, arguments.target)
    facts = source_facts(source, arguments.target)
    entries = []
    for options in chosen_options(arguments):
        rates, steps, found = (), None, None
        template_ids, features = summed_templates(source.blocks(images), faces, options)
        print(f"{name}{arguments.target}, {options.describe()}{note}")
        if lists.pairs:
            left, right, is_genuine = lists.pairs
            cosines = pair_cosines(features, template_ids, left, right)
            rates = rates_at_fars(cosines, is_genuine)
            steps = pair_steps(cosines, is_genuine) if arguments.report else None
            print_rates(rates)
        if lists.probes:
            found = search_galleries(lists, template_ids, features)
            print_search(found)
        how = options.describe()
        entries.append(IjbEntry(source.name, source.name, facts, how, note, rates, steps, found))
    return entries


def face_images(faces: FaceList, target: str) -> Images:
    """Return the images of a list as a source of embeddings takes them."""
    names = [path.name for path in faces.paths]
    return Images(
        target, len(names), lambda start: aligned_faces(faces, start), [names], faces_fact(faces)
    )


def faces_fact(faces: FaceList) -> dict[str, str]:
    """Return what of the lists decides the embeddings: names, their order and the landmarks, and
    the points that those are brought to."""
    names = "\n".join(path.name for path in faces.paths) + str(faces.landmarks.tobytes())
    digest = hashlib.sha256(names.encode("utf-8", "surrogateescape")).hexdigest()
    points = hashlib.sha256(template(SIZE).tobytes()).hexdigest()[:8]
    return {"list": digest, "alignment": f"five points {points}, {SIZE[0]},{SIZE[1]}"}


def chosen_options(arguments: argparse.Namespace) -> list[TemplateOptions]:
    """Return the switches to evaluate."""
    if arguments.all_switches:
        return [TemplateOptions(*s) for s in product(NORMS, (True, False), (True, False))]
    return [TemplateOptions(arguments.norm, bool(arguments.detector_score), bool(arguments.flip))]


def aligned_faces(faces: FaceList, start: int) -> Iterator[np.ndarray]:
    """Yield the aligned crops, uint8 RGB (112, 112, 3), from image number start on."""
    for path, landmarks in zip(faces.paths[start:], faces.landmarks[start:], strict=True):
        yield cv2.cvtColor(align_face(read_image(path), landmarks, SIZE), cv2.COLOR_BGR2RGB)


def template_features(
    features_path: str, faces: FaceList, options: TemplateOptions
) -> tuple[np.ndarray, np.ndarray]:
    """Return summed_templates() of the embeddings that are kept in a file."""
    return summed_templates(read_embeddings(features_path, len(faces.paths)), faces, options)


def summed_templates(
    blocks: Iterable[tuple[int, np.ndarray, np.ndarray]], faces: FaceList, options: TemplateOptions
) -> tuple[np.ndarray, np.ndarray]:
    """Return (template ids ascending, unit features (T, D)) of embeddings block by block."""
    sums = TemplateSums(faces.template_ids, faces.media_ids, faces.detector_scores, options)
    for start, plain, flipped in blocks:
        sums.add(start, plain, flipped)
    return sums.templates()


def search_galleries(
    lists: ProtocolLists, template_ids: np.ndarray, features: np.ndarray
) -> SearchResult:
    """Return the mean of both galleries, each searched by itself with all probes."""
    probes, subjects = lists.probes
    probe_features = features[rows_of(probes, template_ids, "probe template")]
    results = []
    for gallery, gallery_subjects in lists.galleries:
        rows = rows_of(gallery, template_ids, "gallery template")
        results.append(search(probe_features, subjects, features[rows], gallery_subjects))
    return mean_result(results)


def print_rates(rates: tuple[RateAtFar, ...], scores: ScoreFile | None = None) -> None:
    """Print TAR at each FAR; thresholds are cosines, or in the unit of scores that were given."""
    for rate in rates:
        if rate.point is None:
            print(
                f"  TAR@FAR={rate.wanted_far:.0e}: needs {rate.impostors_needed:,} impostor pairs"
            )
            continue
        low, high = rate.interval
        at = f"cosine {rate.point.threshold:.4f}"
        if scores:
            at = f"score {scores.given(rate.point.threshold):.6g}"
        print(
            f"  TAR@FAR={rate.wanted_far:.0e}: {100 * rate.point.tar:.2f} % "
            f"({100 * low:.2f} to {100 * high:.2f}) at {at}"
        )


def print_search(result: SearchResult) -> None:
    for rank, rate in result.rank_rates.items():
        print(f"  top-{rank}: {100 * rate:.2f} %")
    for fpir, rate in result.tpir.items():
        shown = f"too few unmated probes, it needs {impostors_needed(fpir):,}"
        print(f"  TPIR@FPIR={fpir:g}: {shown if rate is None else f'{100 * rate:.2f} %'}")


if __name__ == "__main__":
    sys.exit(main())
