"""The same everywhere: two processes learn what one does, with every sampler, however they share the model, and take over from each other.

All of them in double precision, where nothing but an error is as large as the tolerance.
"""

import dataclasses
import json
import platform
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from _pytest.mark import ParameterSet

from foresay import draws
from foresay.runs import Run
from foresay.settings import list_names
from foresay.training.devices import Process
from foresay.training.trainer import _dealt
from reference.toy_models import SHARES, played, shared_updates
from reference.two_processes import Job, Measured, alone, together, write_corpus

TOLERANCE = 1e-6
SMALL_QUEUE = "model.negative_options={length = 40, per_group = 6, sampled = 16}"
CLIP, SHARD, MICRO = "trainer.clip=0.5", "trainer.parallel=shard", "trainer.accumulate=2"


def _with_sampler(model: str, name: str) -> Job:
    return Job(model, (CLIP, f"model.negatives={name}", *([SMALL_QUEUE] if name == "queue" else [])))


CPC = [_with_sampler("cpc", name) for name in list_names("foresay.negatives")]
ACPC = [*(_with_sampler("acpc", name) for name in list_names("foresay.negatives")), Job("acpc", (CLIP, "model.norm=batch"))]
UNEVEN = Job("acpc", (CLIP, "data.batch=6"))
"""Three groups: one process has two of them."""

BY_SECONDS = Job("acpc", (CLIP, "data.sampler=utterances", "data.seconds=3.0", "data.longest=0.3", "data.shortest=0.2"))
"""Five groups."""


def _with(job: Job, *more: str) -> Job:
    return dataclasses.replace(job, overrides=(*job.overrides, *more))


Pair = tuple[Job, Job]
"""A job, and another that is to learn the same."""
IN_ONE: list[Pair] = [(job, _with(job, MICRO)) for job in [*CPC[:1], *ACPC, BY_SECONDS]]
IN_TWO: list[Pair] = [
    *((job, job) for job in [*CPC[:1], *ACPC, UNEVEN, BY_SECONDS]),
    (UNEVEN, _with(UNEVEN, SHARD)),
    *((job, _with(job, SHARD, MICRO)) for job in [ACPC[0], ACPC[-1]]),
]
MORE_IN_ONE: list[Pair] = [(job, _with(job, MICRO)) for job in CPC[1:]]
MORE_IN_TWO: list[Pair] = [*((job, job) for job in CPC[1:]), *((job, _with(job, SHARD, MICRO)) for job in ACPC[1:-1])]
"""What else there is: the samplers do not know the model that they sample for, nor how its weights are shared."""

TOYS = [shared_updates, partial(shared_updates, parallel="shard"), played, partial(played, parallel="shard")]

AVERAGE = "trainer.average=0.9"
WHOLE = Job("acpc", (AVERAGE,), run="whole")
ONE_TWO = [Job("acpc", (AVERAGE, parallel), f"one-two-{parallel}") for parallel in ("trainer.parallel=replicate", SHARD)]
TWO_ONE = [Job("acpc", (AVERAGE, parallel), f"two-one-{parallel}") for parallel in ("trainer.parallel=replicate", SHARD)]
DROPPING = [Job("acpc", ("model.dropout=0.1",), name) for name in ("dropping", "dropping-again")]


def _half(job: Job) -> Job:
    return _with(job, "trainer.steps=5")


class Done(NamedTuple):
    one: dict[Job, Measured]
    two: dict[Job, Measured]
    toys: list[tuple[Any, Any]]
    """What each of TOYS returned in one process and in two."""
    runs: Path
    """A folder for each run."""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Do everything at once: to start two processes takes longer than all that they do."""
    folder, runs, meeting = (tmp_path_factory.mktemp(name) for name in ("corpus", "runs", "meeting"))
    corpus = write_corpus(folder)
    in_one, in_two = _jobs(IN_ONE, IN_TWO)
    toys_in_one = alone(TOYS, corpus, runs)
    one = alone([*in_one, WHOLE, *map(_half, ONE_TWO), _half(DROPPING[0])], corpus, runs)
    shutil.copytree(runs / DROPPING[0].run, runs / DROPPING[1].run)
    toys_in_two, two = _split(len(TOYS), together([*TOYS, *in_two, *ONE_TWO, *DROPPING, *map(_half, TWO_ONE)], corpus, runs, meeting))
    alone(TWO_ONE, corpus, runs)
    return Done(
        dict(zip(in_one, one, strict=False)), dict(zip(in_two, two, strict=False)), list(zip(toys_in_one, toys_in_two, strict=True)), runs
    )


@pytest.fixture(scope="module")
def more(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Do the rest."""
    folder, runs, meeting = (tmp_path_factory.mktemp(name) for name in ("corpus", "runs", "meeting"))
    corpus = write_corpus(folder)
    in_one, in_two = _jobs(MORE_IN_ONE, MORE_IN_TWO)
    one, two = alone(in_one, corpus, runs), together(in_two, corpus, runs, meeting)
    return Done(dict(zip(in_one, one, strict=True)), dict(zip(in_two, two, strict=True)), [], runs)


def _jobs(in_one: list[Pair], in_two: list[Pair]) -> tuple[list[Job], list[Job]]:
    """Return what is to be done in one process, and in two: each job once."""
    teachers = [teacher for teacher, _ in (*in_one, *in_two)]
    return list(dict.fromkeys([*teachers, *(job for _, job in in_one)])), [job for _, job in in_two]


def _split(first: int, things: list[Any]) -> tuple[list[Any], list[Any]]:
    return things[:first], things[first:]


def _name(job: Job) -> str:
    return " ".join([job.recipe, *(text for text in job.overrides if text != CLIP)])


def _compare(expected: Measured, found: Measured) -> None:
    assert [s["loss"] for s in found.scalars] == pytest.approx([s["loss"] for s in expected.scalars], abs=TOLERANCE)
    assert [s["grad_norm"] for s in found.scalars] == pytest.approx([s["grad_norm"] for s in expected.scalars], abs=TOLERANCE)
    assert [s["accuracy"] for s in found.scalars] == pytest.approx([s["accuracy"] for s in expected.scalars], abs=TOLERANCE)
    for mine, theirs in ((found.gradient, expected.gradient), (found.weights, expected.weights)):
        assert mine.keys() == theirs.keys()
        for name in theirs:
            torch.testing.assert_close(mine[name], theirs[name], atol=TOLERANCE, rtol=0, msg=name)


def _named(pairs: list[Pair]) -> list[ParameterSet]:
    return [pytest.param(*pair, id=_name(pair[1])) for pair in pairs]


@pytest.mark.parametrize("teacher, job", _named(IN_ONE))
def test_micro_batches_learn_what_the_whole_batch_teaches(done: Done, teacher: Job, job: Job) -> None:
    _compare(done.one[teacher], done.one[job])


@pytest.mark.parametrize("teacher, job", _named(IN_TWO))
def test_two_processes_learn_what_one_does(done: Done, teacher: Job, job: Job) -> None:
    _compare(done.one[teacher], done.two[job])


@pytest.mark.slow
@pytest.mark.parametrize("teacher, job", _named(MORE_IN_ONE))
def test_micro_batches_of_cpc_learn_the_same_with_every_sampler(more: Done, teacher: Job, job: Job) -> None:
    _compare(more.one[teacher], more.one[job])


@pytest.mark.slow
@pytest.mark.parametrize("teacher, job", _named(MORE_IN_TWO))
def test_two_processes_learn_the_same_with_every_sampler(more: Done, teacher: Job, job: Job) -> None:
    _compare(more.one[teacher], more.two[job])


def test_terms_of_unequal_counts_have_the_gradient_of_the_whole_however_they_are_shared(done: Done) -> None:
    gradients = [gradient for one, two in done.toys[:2] for gradient in (*one, *two)]
    assert len(gradients) == 4 * len(SHARES)
    for gradient in gradients:
        for name, value in gradients[0].items():
            torch.testing.assert_close(gradient[name], value, atol=1e-12, rtol=1e-12)


def test_two_players_play_the_same_game_in_two_processes(done: Done) -> None:
    for one, two in done.toys[2:]:
        for name, value in one.items():
            torch.testing.assert_close(two[name], value, atol=1e-12, rtol=1e-12, msg=name)


@pytest.mark.parametrize("job", [*ONE_TWO, *TWO_ONE], ids=lambda job: job.run)
def test_a_run_goes_on_in_another_number_of_processes(done: Done, job: Job) -> None:
    whole, taken_over = (Run(done.runs / name).checkpoints()[-1] for name in (WHOLE.run, job.run))
    assert whole.step == taken_over.step == 9
    expected, found = whole.weights(), taken_over.weights()
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], atol=TOLERANCE, rtol=0, msg=name)
    state, theirs_state = (checkpoint.state() for checkpoint in (taken_over, whole))
    for name, value in theirs_state["weights"].items():  # of which the model is the average
        torch.testing.assert_close(state["weights"][name], value, atol=TOLERANCE, rtol=0, msg=name)
    moments, theirs = (one["optimizers"]["train"]["state"] for one in (state, theirs_state))
    for number, own in theirs.items():
        for name in own:
            torch.testing.assert_close(moments[number][name], own[name], atol=TOLERANCE, rtol=0, msg=name)


@pytest.mark.parametrize("job", [*ONE_TWO, *TWO_ONE], ids=lambda job: job.run)
def test_validation_does_not_depend_on_the_number_of_processes(done: Done, job: Job) -> None:
    lines = [json.loads(line) for line in (done.runs / job.run / "metrics.jsonl").read_text().splitlines()]
    whole = [json.loads(line) for line in (done.runs / WHOLE.run / "metrics.jsonl").read_text().splitlines()]
    assert [line for line in lines if line["kind"] == "valid"][-1] == pytest.approx(whole[-1], abs=TOLERANCE)


def test_dropout_of_a_process_that_joins_is_always_the_same(done: Done) -> None:
    once, again = (Run(done.runs / job.run).checkpoints()[-1].weights() for job in DROPPING)
    assert all(torch.equal(once[name], again[name]) for name in once)
    seeds = {draws.seed("dropout", seed, step, rank) for seed in range(3) for step in range(3) for rank in range(3)}
    assert len(seeds) == 27


def test_what_is_dealt_counts_once_and_all_have_as_many() -> None:
    hands = [list(_dealt(range(5), Process(torch.device("cpu"), rank, 3))) for rank in range(3)]  # type: ignore[arg-type]
    assert hands == [[(0, 1.0), (3, 1.0)], [(1, 1.0), (4, 1.0)], [(2, 1.0), (3, 0.0)]]


@pytest.fixture
def freed() -> float:
    """MB that a process has fewer once every other one of 2,000 blocks of 100 kB was freed, and what is free given back."""
    script = """
import torch
from foresay.training.devices import give_back_freed_memory, keep_freed_memory
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6
keep_freed_memory()
blocks = [torch.ones(25_000) for _ in range(2_000)]
blocks = blocks[::2]
before = resident()
give_back_freed_memory()
print(before - resident())
"""
    return float(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc")
def test_holes_between_blocks_are_given_back(freed: float) -> None:
    """100 MB lie in holes, and are the system's again."""
    assert freed == pytest.approx(100, abs=10)
