"""The same training in one process and in two, in double precision, so that nothing but the order of sums can differ."""

import dataclasses
import itertools
import multiprocessing
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias
from unittest import mock

import numpy as np
import soundfile
import torch
import torch.distributed as dist
from torch import Tensor

from foresay.contracts import Batch
from foresay.corpora.manifest import Item, Manifest, write_manifest
from foresay.runs import Run
from foresay.training.devices import Process, find_process, leave
from foresay.training.parallel import whole
from foresay.training.recipe import read_recipe
from foresay.workflows.parts import Parts
from foresay.workflows.pretrain import pretrain
from foresay.workflows.rehearsal import no_labels
from foresay.workflows.train import build_model, prepare

SMALL = (
    "model.channels=32",
    "model.context_size=32",
    "model.context_layers=1",
    "model.predictions=4",
    "model.negative_group=2",
    "model.negative_count=16",
    "model.dropout=0.0",
    "data.batch=8",
    "data.window=4800",
    "optimizer.warmup=2",
    "trainer.steps=9",
    "trainer.validate_batches=3",
)
"""Four groups a batch, four batches an epoch; three groups to validate on, which two processes cannot share evenly."""
PATIENCE = 240.0
"""Seconds that two processes may take for all their jobs, on a busy machine."""


@dataclasses.dataclass(frozen=True)
class Job:
    """A training: of a few updates, which are measured, or of a whole run, which is kept in its folder."""

    recipe: str
    overrides: tuple[str, ...] = ()
    run: str = ""
    small: tuple[str, ...] = SMALL
    """What makes it small."""


Toy: TypeAlias = Callable[[Process], Any]
"""Something of no recipe (`toy_models.py`), that is done wherever it is."""


@dataclasses.dataclass(frozen=True)
class Measured:
    """What came of a few updates."""

    scalars: list[dict[str, float]]
    """Of each update: loss, norm of the gradient, …"""
    gradient: dict[str, Tensor]
    """Of the last update."""
    weights: dict[str, Tensor]
    """Parameters and buffers after the last update."""


def write_corpus(folder: Path) -> Path:
    """Write four speakers of five seconds each, and return their manifest."""
    random = np.random.default_rng(0)
    items = []
    for speaker, number in itertools.product(range(4), range(5)):
        path = folder / f"s{speaker}-{number}.wav"
        soundfile.write(path, (0.1 * random.standard_normal(16_000)).astype(np.float32), 16_000, subtype="FLOAT")
        items.append(Item(id=path.stem, audio=path, duration=1.0, sample_rate=16_000, speaker=f"s{speaker}"))
    write_manifest(folder / "manifest.jsonl", items)
    return folder / "manifest.jsonl"


def alone(jobs: Sequence[Job | Toy], corpus: Path, runs: Path) -> list[Any]:
    """Do jobs in this process: what was measured, None of a run, and of a toy what it returns."""
    with _double_precision():
        return [_do(job, corpus, runs) for job in jobs]


def together(jobs: Sequence[Job | Toy], corpus: Path, runs: Path, meeting: Path) -> list[Any]:
    """Do jobs in two new processes, which meet in the folder `meeting` and share the work over gloo."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_one_of_two, args=(rank, jobs, corpus, runs, meeting)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=PATIENCE)
        process.kill()  # one that waits for another that failed
    assert [process.exitcode for process in processes] == [0, 0]
    measured: list[Any] = torch.load(meeting / "measured.pt", weights_only=False)  # our own, of just now
    return measured


def _one_of_two(rank: int, jobs: Sequence[Job | Toy], corpus: Path, runs: Path, meeting: Path) -> None:
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    measured = []
    for number, job in enumerate(jobs):
        dist.init_process_group("gloo", init_method=f"file://{meeting / str(number)}", rank=rank, world_size=2)
        with _double_precision():
            measured.append(_do(job, corpus, runs))
        leave()
    if rank == 0:
        torch.save(measured, meeting / "measured.pt")


def _do(job: Job | Toy, corpus: Path, runs: Path) -> Any:  # noqa: ANN401 - as a toy returns
    if not isinstance(job, Job):
        return job(find_process("cpu"))
    if job.run:
        pretrain(job.recipe, corpus, runs / job.run, valid=corpus, overrides=(*job.small, *job.overrides), device="cpu")
        return None
    place = find_process("cpu")
    recipe = read_recipe(job.recipe, (*job.small, *job.overrides))
    corpora, run = {"train": Manifest.open(corpus)}, Run(runs)
    trainer = prepare(build_model(recipe, place, Parts(recipe, corpora, run, place, None)), recipe, corpora, run, place, no_labels, {})
    trainer.model.double()  # what of a spectrogram is of float32, wherever it is made
    scalars = []
    with trainer.loader() as loader:
        for _, batches in itertools.islice(loader.updates(), 3):
            scalars.append(trainer.update(batches))
            trainer.progress.step += 1
    gradient = whole({name: parameter.grad for name, parameter in trainer.model.named_parameters()}, place)
    return Measured(scalars, gradient, whole(trainer.model.state_dict(), place))


@contextmanager
def _double_precision() -> Iterator[None]:
    """Build models and encode waveforms in double precision."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with mock.patch.object(Batch, "to", _to_double):
            yield
    finally:
        torch.set_default_dtype(before)


def _to_double(batch: Batch, _device: object) -> Batch:
    values = {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
    return dataclasses.replace(batch, **{n: v.double() for n, v in values.items() if isinstance(v, Tensor) and v.is_floating_point()})
