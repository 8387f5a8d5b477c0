"""What a run shows and leaves: progress lines, metrics, verifications, checkpoints.

Only rank 0 has a Recorder; the other machines have a NoRecorder, or one that helps to verify, and
the loop does not know which.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
import logging
from pathlib import Path

from ..checkpoints.last_state import save_last
from ..checkpoints.load import save_checkpoint, save_symbol
from ..checkpoints.names import LAST
from ..checkpoints.shards import StoredClassifier, drop_shards, keep_shards, remove_others
from ..errors import reason_of
from ..lazy_mxnet import mxnet_errors
from .announce import announce, run_facts
from .divergence import DivergedError
from .growth import write_names
from .machines import OtherMachineError
from .memory import MemoryEstimate
from .progress import Progress
from .run import Run
from .runlog import RunLog
from .untaught import untaught, without_map
from .validation import TargetResult, find_targets, number_to_save, validate

logger = logging.getLogger(__name__)


def open_recorder(run: Run, memory: MemoryEstimate) -> NoRecorder:
    """Return the recorder of this machine; on rank 0 the run is announced and its files begin."""
    if not run.machines.rank:
        return Recorder(run, memory)
    return Helper(run) if run.machines.validates_together else NoRecorder(run)


class NoRecorder:
    """Records nothing but what this process alone knows."""

    results: tuple[TargetResult, ...] = ()  # of the last verification, in the order of targets

    def __init__(self, run: Run):
        self._run = run

    def after_step(self, lr: float) -> None:
        """Take notice of the step that was made at this learning rate."""
        if is_verified(self._run, self._run.position.step):
            self._run.give_own()

    def stopped(self) -> None:
        """Keep what there is: the run ends early."""
        self._run.give_own()

    @contextmanager
    def rescuing(self) -> Iterator[None]:
        """Save the last whole step if the block fails, unless the network diverged."""
        yield

    def close(self) -> None:
        """End all files."""


def is_verified(run: Run, step: int) -> bool:
    """Return whether the network is verified, and saved, after a step."""
    return step % run.plan.config.verbose == 0 or step == run.last_step


class Verifier:
    """Verifies the network of a run as it would be saved now, together with the other processes."""

    def __init__(self, run: Run):
        self._run, config = run, run.plan.config
        self._embedder = run.plan.engine.embedder(run.plan, run.stepper)
        self._pair_sets = find_targets(config.data_dir.split(","), config.target)

    def results(self) -> tuple[TargetResult, ...]:
        """Return those of all targets, in their order."""
        shape, machines = self._run.plan.image_shape, self._run.machines
        return tuple(validate(self._embedder, self._pair_sets, shape, machines))


class Helper(NoRecorder):
    """Embeds its part of the pair sets beside that."""

    def __init__(self, run: Run):
        super().__init__(run)
        self._verifier = Verifier(run)

    def after_step(self, lr: float) -> None:
        super().after_step(lr)
        if is_verified(self._run, self._run.position.step):
            self.results = self._verifier.results()


class Recorder(NoRecorder):
    """Records a run."""

    def __init__(self, run: Run, memory: MemoryEstimate):
        super().__init__(run)
        self._config = run.plan.config
        config, source, step = self._config, run.source, run.position.step
        self._verifier = Verifier(run)
        self._progress = Progress(run.plan.images_per_step, run.last_step)
        announce(run.plan, memory, source.batches_per_epoch, run.last_step, step)
        self._saved = untaught(run.plan.published)
        save_symbol(config.prefix, self._saved)
        if len(run.plan.datasets) == 1:
            write_names(config.prefix, run.plan.datasets[0].folder, is_new=not step)
        self._log = RunLog(config, run_facts(run.plan), step)
        self._log.bad_records(source.bad_records.facts())
        self._saved_step = step
        self._progress.start(step, source.wait_seconds)

    def after_step(self, lr: float) -> None:
        step = self._run.position.step
        if step % self._config.frequent == 0 or step == self._run.last_step:
            self._tell_progress(step, lr)
        if is_verified(self._run, step):
            self._run.give_own()
            self._verify_and_save(step)
            self._save_last()
            self._progress.start(step, self._run.source.wait_seconds)

    def stopped(self) -> None:
        self._run.give_own()
        self._save_last()

    @contextmanager
    def rescuing(self) -> Iterator[None]:
        try:
            yield
        except DivergedError:
            raise  # what was saved stays
        except OtherMachineError as error:
            if not error.diverged:
                self._rescue()
            raise
        except BaseException:
            self._rescue()
            raise

    def _save_last(self) -> None:
        save_last(self._config.prefix, self._run.last_state())
        remove_others(self._config.prefix, self._run.stepper.ranges(self._run.position.step))
        self._saved_step = self._run.position.step
        self._log.bad_records(self._run.source.bad_records.facts())

    def _rescue(self) -> None:
        """Save the last whole step, if there is a new one and it can be had."""
        run, step = self._run, self._run.position.step
        if step == self._saved_step:
            return
        try:
            if not run.rewind():
                logger.error("step %d was cut off half made and cannot be taken back", step + 1)
            elif bad := run.stepper.first_bad_parameter():
                logger.error("%r is NaN or infinite: what was saved stays", bad)
            elif run.stepper.ranges(step) and run.machines.count > 1:
                logger.error("the classifier's rows are on other processes: what was saved stays")
            else:
                run.save_shard()
                self._save_last()
                logger.info("saved the last whole step, %d; go on with --resume", step)
        except (OSError, ValueError, *mxnet_errors()) as error:
            logger.error("step %d could not be saved: %s", step, reason_of(error))

    def close(self) -> None:
        self._log.close()

    def _tell_progress(self, step: int, lr: float) -> None:
        run = self._run
        values = dict(run.metric.get_name_value())
        run.metric.reset()
        if run.stepper.loss_scale is not None:
            values["loss_scale"] = run.stepper.loss_scale
        self._log.metrics(step, run.source.epoch, values | {"lr": lr})
        shown = ", ".join(f"{name} {value:.5f}" for name, value in values.items())
        line = self._progress.line(step, run.source.wait_seconds)
        logger.info("step %d, epoch %d: %s, lr %g, %s", step, run.source.epoch, shown, lr, line)

    def _save_numbered(self, number: int) -> Path:
        """Write a numbered checkpoint; of a classifier that is shared out the files of this step
        stay beside it, or all of it is in the checkpoint."""
        prefix, stepper = self._config.prefix, self._run.stepper
        arg_params, aux_params = stepper.params()
        ranges = stepper.ranges(self._run.position.step)
        is_beside = bool(ranges) and self._config.classifier_save == "shards"
        if ranges and not is_beside:
            stored = StoredClassifier(prefix, LAST, ranges, has_states=False)
            arg_params = arg_params | {name: stored.whole(name) for name in stored.names}
        # In this order rows never stand beside the network of another step, whenever it is killed.
        drop_shards(prefix, number)
        path = save_checkpoint(prefix, number, self._saved, *without_map(arg_params, aux_params))
        if is_beside:
            keep_shards(prefix, number, ranges)
        return path

    def _verify_and_save(self, step: int) -> None:
        run, config, position = self._run, self._config, self._run.position
        self.results = self._verifier.results()
        position.verifications += 1
        is_good = position.best.take(self.results)
        for result in self.results:
            values = asdict(result)
            self._log.validation(step, run.source.epoch, values.pop("target"), values)
            print_result(step, result)
        number = number_to_save(config.ckpt, is_good, position.verifications)
        if number is not None:
            logger.info("[%d]saved %s", step, self._save_numbered(number))
        if self.results:
            logger.info("[%d]Accuracy-Highest: %1.5f", step, position.best.accuracy)


def print_result(step: int, result: TargetResult) -> None:
    """Log one verification as the published script words it."""
    name = result.target
    logger.info("[%s][%d]XNorm: %f", name, step, result.xnorm)
    logger.info("[%s][%d]Accuracy-Flip: %1.5f+-%1.5f", name, step, result.accuracy, result.std)
