"""From options to what is trained: dataset, devices, network, loss, symbol, schedule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
import logging
import os
from typing import Any

from ..checkpoints.last_state import has_last
from ..checkpoints.slices import refuse_empty_slices
from ..config import ClassifierConfig, TrainConfig, flag_of
from ..data.dataset import FaceDataset
from ..devices import gpus
from ..lazy_mxnet import mx
from ..losses import Loss, build_loss
from ..networks import Network, NetworkOptions, build_network
from ..networks.base import find_network
from .engine import Engine, open_engine, visible_gpus
from .few_images import refuse_few_images
from .frozen import frozen_statistics
from .growth import Growth, find_growth
from .half import half_precision
from .imprint import CLASSIFIER
from .machines import Machines, count_machines
from .schedule import drops_at_milestones, milestones
from .stored_symbol import Origin, StoredSymbol, read_training_symbol, takes_stored_symbol
from .teacher import Teacher, check_teacher, open_teacher, taught

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """All that is decided before the first step; deciding it changes nothing outside."""

    config: TrainConfig
    engine: Engine
    datasets: list[FaceDataset]
    network: Network | None  # None where its symbol was read
    loss: Loss
    symbol: mx.sym.Symbol | StoredSymbol  # as MXNet computes it
    published: mx.sym.Symbol | StoredSymbol  # the same, always float32
    shapes: dict[str, tuple[int, ...]]  # of every input, for one device
    drops: tuple[int, ...]
    num_workers: int  # machines that train together
    fingerprints: list[str]  # of the datasets
    num_identities: list[int]  # of the datasets: those that have images
    images_of_a_step: int  # in the options that count steps; as a rule images_per_step
    teacher: Teacher | None = None

    @property
    def growth(self) -> Growth | None:
        """How the identities follow from those of --pretrained, None if names do not tell."""
        folders = [dataset.folder for dataset in self.datasets]
        return find_growth(self.config.pretrained, folders, self.datasets[0].num_classes)

    @property
    def ctx(self) -> list[Any]:
        """The devices of this machine."""
        return self.engine.devices

    @property
    def image_shape(self) -> tuple[int, int]:
        """(height, width) of every crop."""
        return self.datasets[0].image_shape

    @property
    def teacher_fingerprint(self) -> str:
        """Of the vectors that are learned from, "" where there are none."""
        return self.teacher.fingerprint if self.teacher else ""

    @property
    def images_per_batch(self) -> int:
        """Images of one pass over the devices of this machine."""
        return self.config.per_batch_size * len(self.ctx)

    @property
    def images_per_step(self) -> int:
        """Images that make one update, on all machines together."""
        return self.images_per_batch * self.config.accumulate * self.num_workers


def make_plan(
    config: TrainConfig, ctx: Sequence[Any] | None = None, machines: Machines | None = None
) -> Plan:
    """Return the plan of a run.  Raises ValueError or FileNotFoundError for what is wrong.

    ctx: MXNet's contexts in place of the devices that the options name.  machines: of the job.
    """
    engine = open_engine(config, ctx, machines.local_rank if machines else None)
    is_stored = takes_stored_symbol(config)
    network = None if is_stored else find_network(config.network)
    if not config.data_dir:
        raise ValueError("--data-dir is missing: name the dataset folder")
    check_prefix(config.prefix)
    embedding = None
    if not is_stored:
        embedding = build_network(config.network, network_options(config))
    datasets = [
        FaceDataset(folder, image_size=config.image_size, images_filter=config.images_filter)
        for folder in config.data_dir.split(",")
    ]
    for dataset in datasets:
        dataset.refuse_other_size()
    loss = build_loss(config.loss_type, config, datasets[0].num_classes)
    check_teacher(config, loss)
    least = 2 if loss.needs_identities else 1
    num_identities = [count_identities(one, config.images_filter, least) for one in datasets]
    if loss.batch_plan == "triplets" and config.triplet_dtype == "auto":
        # Recorded as what it is, so that no run goes on in another precision unnoticed.
        config = replace(config, triplet_dtype=engine.mining_dtype())
    if len(datasets) > 1 and loss.batch_plan != "triplets":
        raise ValueError(
            f"--data-dir {config.data_dir}: several folders serve the triplet losses alone, since "
            "their identities have no common numbering; merge them or name one"
        )
    check_pretrained_options(config)
    check_classifier_options(config)
    tell_of_multipliers(config)
    if config.dtype == "float16":
        refuse_half_on_a_cpu(engine.devices)
    teacher = open_teacher(config, datasets, engine)
    fingerprints = [dataset.fingerprint() for dataset in datasets]
    loss = taught(loss, teacher, config)
    if embedding is None:
        origin = Origin(teacher.fingerprint if teacher else "", fingerprints)
        published = symbol = read_training_symbol(config, loss, origin)
    else:
        published = loss.symbol(embedding, mx.sym.Variable("softmax_label"))
        symbol = as_computed(config, loss, embedding, engine)
    batch = config.per_batch_size
    shapes = {"data": (batch, 3, *datasets[0].image_shape), "softmax_label": (batch,)}
    shapes |= {name: (batch,) for name, _ in loss.step_inputs(1)}
    shapes |= {name: (batch, *shape) for name, shape in loss.image_inputs().items()}
    num_workers = machines.count if machines else count_machines(config.kvstore)
    images = batch * len(engine.devices) * config.accumulate * num_workers
    drops = learning_rate_drops(config, loss, images)
    plan = Plan(
        config, engine, datasets, network, loss, symbol, published, shapes, drops,
        num_workers, fingerprints, num_identities, images, teacher,
    )  # fmt: skip
    engine.check(plan)
    return plan


def learning_rate_drops(config: TrainConfig, loss: Loss, images: int) -> tuple[int, ...]:
    """Return the steps, of so many images, after which the rate falls."""
    if not drops_at_milestones(config):
        return ()
    return milestones(config.lr_steps, loss.base_milestones, images, loss.delay)


def counted_by(plan: Plan, images: int) -> Plan:
    """Return the plan whose options count steps of so many images."""
    drops = learning_rate_drops(plan.config, plan.loss, images)
    return replace(plan, drops=drops, images_of_a_step=images)


def as_computed(
    config: TrainConfig, loss: Loss, embedding: mx.sym.Symbol, engine: Engine
) -> mx.sym.Symbol:
    """Return the training symbol as it is computed, with --freeze-bn; with --dtype on MXNet."""
    if config.freeze_bn:
        embedding = frozen_statistics(embedding)
    if config.dtype == "float16" and engine.name == "mxnet":
        embedding = half_precision(embedding)
    return loss.symbol(embedding, mx.sym.Variable("softmax_label"))


def count_identities(dataset: FaceDataset, images_filter: int, least: int = 2) -> int:
    """Return how many identities have images.  Raises ValueError for fewer than 1 or 2."""
    count = dataset.count_identities()
    if count < least:
        left = f" after --images-filter {images_filter}" if images_filter else ""
        raise ValueError(
            f"--data-dir {dataset.folder}: images of {count} identity{left}, though property says "
            f"{dataset.num_classes}; two or more are needed, or there is nothing to tell apart"
        )
    return count


def check_prefix(prefix: str) -> None:
    """Raise ValueError for a prefix that names no file."""
    if not prefix or prefix.endswith(("/", os.sep)):
        raise ValueError(f"--prefix {prefix!r}: give FOLDER/NAME, such as ../model/r50")


def check_pretrained_options(config: TrainConfig) -> None:
    """Raise ValueError for what needs --pretrained, or all of it, and does not have it."""
    faults = []
    if not (config.pretrained or (config.resume and has_last(config.prefix))):
        if config.freeze_bn:
            faults.append("--freeze-bn 1 needs --pretrained: there are no statistics to keep")
        if config.new_head:
            faults.append("--new-head 1 needs --pretrained: every other head is drawn anyway")
        if config.fc7_init == "imprint":
            faults.append(
                "--fc7-init imprint needs --pretrained: an untrained network knows no one"
            )
    if config.new_head and config.freeze_bn:
        faults.append("--new-head 1 --freeze-bn 1: a head that is drawn has no statistics to keep")
    if config.new_head and config.fc7_init == "imprint":
        faults.append("--new-head 1 --fc7-init imprint: a head that is drawn knows no one")
    if faults:
        raise ValueError("\n".join(faults))


def check_classifier_options(config: TrainConfig) -> None:
    """Raise ValueError for options that the chosen classifier would ignore."""
    faults, default = [], ClassifierConfig
    if config.classifier != "partial":
        given = (config.sample_rate, config.classifier_memory)
        if given != (default.sample_rate, default.classifier_memory):
            faults.append(
                "--sample-rate and --classifier-memory serve --classifier partial alone, not "
                f"{config.classifier}: others compute all rows in every step"
            )
    if config.classifier == "dense" and config.classifier_save != default.classifier_save:
        faults.append(
            f"--classifier-save {config.classifier_save}: a dense classifier is saved as "
            "published anyway; leave it out"
        )
    if faults:
        raise ValueError("\n".join(faults))


def tell_of_multipliers(config: TrainConfig) -> None:
    """Log multipliers that change nothing: published command lines give them all the same."""
    given = [
        f"{flag_of(name)} {getattr(config, name):g}"
        for name in ("fc7_wd_mult", "fc7_lr_mult")
        if getattr(config, name) != getattr(TrainConfig, name)
    ]
    if given and not config.apply_mult:
        log.warning(
            "%s: changes nothing, as in the published script; --apply-mult 1 honours it",
            ", ".join(given),
        )


def refuse_half_on_a_cpu(devices: Sequence[Any]) -> None:
    """Raise ValueError if these devices do not multiply float16."""
    if str(devices[0]).startswith("cpu"):
        raise ValueError("--dtype float16 needs a GPU; on a CPU leave it out")


def check_symbol(plan: Plan) -> None:
    """Raise ValueError for images that the network does not take, too few, and an imprinting
    without a classifier."""
    config, shapes = plan.config, plan.shapes
    check_image_size(config, plan.published, shapes)
    refuse_few_images(plan.symbol, shapes)
    if config.fc7_init == "imprint":
        check_imprinting(config, plan.published, shapes, plan.datasets[0].num_classes)


def check_image_size(config: TrainConfig, symbol: mx.sym.Symbol, shapes: dict) -> None:
    """Raise ValueError if the network does not take images of this size."""
    refuse_empty_slices(symbol, shapes, f"network {config.network}")
    try:
        symbol.infer_shape(**shapes)
    except mx.MXNetError as error:
        height, width = shapes["data"][2:]
        raise ValueError(
            f"network {config.network} with head {config.version_output} does not take images of "
            f"{height}x{width} (height x width): {str(error).strip().splitlines()[-1]}; pack crops "
            "of 112x112, or choose another --version-output"
        ) from None


def check_imprinting(
    config: TrainConfig, symbol: mx.sym.Symbol, shapes: dict, num_classes: int
) -> None:
    """Raise ValueError if there is no classifier to be imprinted."""
    sizes = dict(zip(symbol.list_arguments(), symbol.infer_shape(**shapes)[0], strict=True))
    if sizes.get(CLASSIFIER) != (num_classes, config.emb_size):
        raise ValueError(
            f"--fc7-init imprint: loss {config.loss_type} has no classifier of one row for each "
            "identity; leave it out"
        )


def contexts(config: TrainConfig) -> list[mx.Context]:
    """Return the devices to train on: GPUs if any are named or visible, else the CPU.

    Raises ValueError if a GPU is named that MXNet cannot use.
    """
    wanted = visible_gpus(config)
    if not wanted:
        return [mx.cpu()]
    return gpus(wanted, "unset --gpus and CUDA_VISIBLE_DEVICES to train on the CPU")


def network_options(config: TrainConfig) -> NetworkOptions:
    """Return the network's options as the flags give them."""
    return NetworkOptions(
        emb_size=config.emb_size,
        se=config.version_se,
        input=config.version_input,
        output=config.version_output,
        unit=config.version_unit,
        act=config.version_act,
        multiplier=config.version_multiplier,
        bn_mom=config.bn_mom,
    )
