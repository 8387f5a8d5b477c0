"""Jobs of several processes that train a tiny network with its classifier shared out, and the same
steps with a dense classifier, computed share after share in one process.

    python -m tests.torch_engine.classifier_jobs RANK FOLDER

reads jobs.json from the folder and writes COUNT-RANK.npz: "JOB|NAME" -> array.
"""

from __future__ import annotations

import json
from pathlib import Path
import subprocess
import sys

from arcface_mxnet.checkpoints.graph import parse_graph
from arcface_mxnet.checkpoints.parts import embedding_part
from arcface_mxnet.torch_engine.classifier import Classifier
from arcface_mxnet.torch_engine.collectives import Collectives
from arcface_mxnet.torch_engine.graph import Program
from arcface_mxnet.training.optimizer import SGD
import numpy as np
import torch

ROWS, CLASSES, WIDTH, INPUT = 6, 7, 4, 5
STEPS, RATE = 3, 0.1
RULE = SGD(0.9, 0.01, {})


def make_batch(step: int, share: int, job: dict) -> dict[str, torch.Tensor]:
    rng = np.random.RandomState(100 * step + share)
    batch = {
        "data": rng.normal(0, 1, (ROWS, INPUT)),
        "softmax_label": rng.randint(0, CLASSES, ROWS),
    }
    batch |= {name: np.full(ROWS, value) for name, value in job["extra"]}
    batch |= {name: rng.normal(0, 1, (ROWS, size)) for name, size in job["vectors"].items()}
    return {name: torch.tensor(np.float32(array)) for name, array in batch.items()}


def parameters(graph, shapes) -> dict[str, torch.Tensor]:
    """Return parameters and running values by name, the same everywhere."""
    found = {}
    for number, (name, shape) in enumerate(sorted(shapes.items())):
        rng = np.random.RandomState(number)
        value = rng.normal(0, 1, shape) if name not in graph.states() else rng.uniform(1, 2, shape)
        found[name] = torch.tensor(np.float32(value))
    return found


def advance(states: dict[str, torch.Tensor], changes) -> None:
    for name, share, value in changes:
        if name in states:
            states[name] = share * states[name] + (1 - share) * value


def dense(job: dict, count: int) -> dict[str, np.ndarray]:
    """Return what the steps of a job leave where every process has the whole classifier."""
    graph = parse_graph(job["symbol"], "the symbol")
    values = parameters(graph, job["shapes"])
    states = [{n: v for n, v in values.items() if n in graph.states()} for _ in range(count)]
    weights = {n: v.requires_grad_() for n, v in values.items() if n not in graph.states()}
    moments = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    program = Program(graph, training=True)
    found = {}
    for step in range(STEPS):
        for share in range(count):
            batch = make_batch(step, share, job)
            batch["data"].requires_grad_()
            outputs, changes = program(weights | states[share] | batch)
            seen = dict(zip(program.output_names, outputs, strict=True))
            losses = [o for o, is_loss in zip(outputs, program.losses, strict=True) if is_loss]
            torch.autograd.backward(losses, [torch.ones_like(loss) for loss in losses])
            found[f"{share} {step} gradient of the images"] = batch["data"].grad.numpy()
            advance(states[share], changes)
            for name, output in seen.items():
                if name == "softmax_output":
                    found[f"{share} {step} nearest"] = output.argmax(1).numpy()
                else:
                    found[f"{share} {step} {name}"] = output.detach().numpy()
            found |= {f"{share} {step} {n}": v.numpy() for n, v in states[share].items()}
        found |= {f"{step} gradient {n}": w.grad.numpy().copy() for n, w in weights.items()}
        update(weights, moments, count)
    found |= {name: weight.detach().numpy() for name, weight in weights.items()}
    return found | {f"mom:{name}": moment.numpy() for name, moment in moments.items()}


def update(weights, moments, count) -> None:
    with torch.no_grad():
        tensors = [[w.detach() for w in weights.values()], [w.grad for w in weights.values()]]
        RULE.update_tensors([*tensors, list(moments.values())], RATE, RULE.wd, 1 / count, 0)
    for weight in weights.values():
        weight.grad = None


def shared_out(job: dict, together: Collectives) -> dict[str, np.ndarray]:
    """Return what the steps of a job leave on this process."""
    graph = parse_graph(job["symbol"], "the symbol")
    values = parameters(graph, job["shapes"])
    torch.manual_seed(5)
    inputs = frozenset(make_batch(0, 0, job))
    classifier = Classifier(
        graph, CLASSES, inputs,
        WIDTH, RULE, 1 / together.count, together, **job["options"],
    )  # fmt: skip

    def fill(name: str, begin: int, rows: torch.Tensor) -> None:
        rows.copy_(values[name][begin : begin + len(rows)])

    classifier.rows.fill(fill)
    network = Program(embedding_part(graph), training=True)
    own = {n: values[n].requires_grad_() for n in network.variables if n != "data"}
    moments = {name: torch.zeros_like(weight) for name, weight in own.items()}
    states = {name: values[name] for name in classifier.loss.states}
    found = {}
    for step in range(STEPS):
        batch = make_batch(step, together.rank, job)
        batch["data"].requires_grad_()
        (embedding,), _ = network(own | batch)
        passed = classifier(embedding.detach(), batch, states)
        embedding.backward(passed.gradient)
        advance(states, passed.changes)
        begin = f"{together.rank} {step}"
        found[f"{begin} gradient of the images"] = batch["data"].grad.numpy()
        for name, output in zip(classifier.output_names, passed.outputs, strict=True):
            found[f"{begin} {name}"] = output.numpy()
        found[f"{begin} nearest"] = passed.nearest.numpy()
        found |= {f"{begin} {name}": value.numpy() for name, value in states.items()}
        for name, gradient in classifier.rows.gradients().items():
            found[f"{step} gradient {name}"] = gradient.numpy().copy()
        for name, weight in own.items():
            together.sum(weight.grad)
            found[f"{step} gradient {name}"] = weight.grad.numpy().copy()
        found[f"{step} norm"] = np.array(classifier.norm())
        found[f"{step} given"] = np.array(together.given)
        update(own, moments, together.count)
        classifier.update(RATE)
    found |= {name: weight.detach().numpy() for name, weight in own.items()}
    found |= {name: weight.detach().numpy() for name, weight in classifier.rows.weights.items()}
    found |= {f"mom:{name}": moment.numpy() for name, moment in moments.items()}
    return found | {name: moment.numpy() for name, moment in classifier.rows.moments.items()}


COUNTS = (2, 3)


class Group:
    """Processes that wait for each other and for nothing else."""

    def __init__(self, group):
        self._group = group
        self.rank, self.count = group.rank(), group.size()

    def group_on(self, device):
        return self._group

    def wait(self, start):
        start().wait()


def run_jobs(jobs: dict[str, dict], folder: Path) -> dict[int, list[dict[str, dict]]]:
    """Return for 1, 2 and 3 processes what the jobs leave on each: name of a job -> arrays.

    The first two of three processes make the jobs of two.
    """
    (folder / "jobs.json").write_text(json.dumps(jobs))
    command = [sys.executable, "-m", "tests.torch_engine.classifier_jobs"]
    workers = [subprocess.Popen([*command, str(rank), str(folder)]) for rank in range(max(COUNTS))]
    found = {1: [{name: shared_out(job, Collectives()) for name, job in jobs.items()}]}
    try:
        assert [worker.wait(timeout=300) for worker in workers] == [0] * len(workers)
    finally:
        for worker in workers:
            worker.kill()
    for count in COUNTS:
        found[count] = [
            read_arrays(folder / f"{count}-{rank}.npz", list(jobs)) for rank in range(count)
        ]
    return found


def read_arrays(path: Path, jobs: list[str]) -> dict[str, dict]:
    with np.load(path) as arrays:
        return {
            job: {
                name.removeprefix(f"{job}|"): arrays[name]
                for name in arrays.files
                if name.startswith(f"{job}|")
            }
            for job in jobs
        }


def main(rank: int, folder: Path) -> None:
    import torch.distributed as dist

    torch.set_num_threads(1)
    jobs = json.loads((folder / "jobs.json").read_text())
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=max(COUNTS)
    )
    groups = {count: dist.new_group(list(range(count))) for count in COUNTS}
    for count, group in groups.items():
        if rank < count:
            found = {
                f"{name}|{key}": array
                for name, job in jobs.items()
                for key, array in shared_out(job, Collectives(Group(group))).items()
            }
            np.savez(folder / f"{count}-{rank}.npz", **found)
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
