"""The loop: exact resume, accumulation, non-finite numbers, interruption, a full disk, another recipe. On a corpus made here."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from foresay import draws, runs
from foresay.contracts import Batch
from foresay.corpora.manifest import Item, write_manifest
from foresay.errors import UserError
from foresay.models.representation.acpc import ACPC
from foresay.runs import Run
from foresay.training import logs
from foresay.training.recipe import read_recipe
from foresay.training.trainer import Trainer
from foresay.workflows.pretrain import pretrain
from foresay.workflows.rehearsal import rehearse

SMALL = (
    "model.channels=32",
    "model.context_size=32",
    "model.context_layers=1",
    "model.negative_group=2",
    "data.batch=4",
    "data.window=4800",
    "optimizer.warmup=3",
    "trainer.epochs=9",
)
"""Eight updates an epoch."""


def small(*more: str) -> tuple[str, ...]:
    return (*SMALL, *more)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    random = np.random.default_rng(0)
    items = []
    for speaker in range(4):
        for number in range(3):
            samples = (0.1 * random.standard_normal(16_000)).astype(np.float32)
            path = folder / f"s{speaker}-{number}.wav"
            soundfile.write(path, samples, 16_000, subtype="FLOAT")
            items.append(Item(id=path.stem, audio=path, duration=1.0, sample_rate=16_000, speaker=f"s{speaker}"))
    write_manifest(folder / "manifest.jsonl", items)
    return folder / "manifest.jsonl"


def weights(run: Path) -> dict[str, Tensor]:
    return Run(run).checkpoints()[-1].weights()


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def lines(run: Path, kind: str) -> list[dict[str, float]]:
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line for line in found if line["kind"] == kind]


def test_forty_updates_equal_twenty_and_twenty_more_bit_for_bit(corpus: Path, tmp_path: Path) -> None:
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    pretrain("acpc", corpus, whole, overrides=small("trainer.steps=20", "trainer.log_every=3"))
    pretrain("acpc", corpus, halves, overrides=small("trainer.steps=11", "trainer.log_every=3"))  # in the middle of the second epoch
    assert not same(weights(whole), weights(halves))
    torch.manual_seed(123)  # whatever happened in between
    pretrain("acpc", corpus, halves, overrides=small("trainer.steps=20", "trainer.log_every=3"))
    assert same(weights(whole), weights(halves))
    optimizers = [Run(r).checkpoints()[-1].state()["optimizers"]["train"]["state"] for r in (whole, halves)]
    for index, state in optimizers[0].items():
        assert all(torch.equal(state[name], optimizers[1][index][name]) for name in state)
    assert [line["loss"] for line in lines(whole, "train")] == [line["loss"] for line in lines(halves, "train")]


@pytest.mark.slow
def test_killed_it_goes_on_from_its_last_checkpoint_as_if_nothing_had_happened(corpus: Path, tmp_path: Path) -> None:
    settings = small("trainer.steps=24", "trainer.save_every=4", "trainer.log_every=1")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    pretrain("acpc", corpus, whole, overrides=settings)
    arguments = ["acpc", "--corpus", str(corpus), "--run", str(killed), *(word for s in settings for word in ("--set", s))]
    command = [sys.executable, "-c", "import sys; from foresay.cli import main; sys.exit(main())", "pretrain", *arguments]
    threads = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    process = subprocess.Popen(command, env=threads, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 240  # on a busy machine
    while len(Run(killed).checkpoints()) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()  # kill -9
    process.wait()
    reached = Run(killed).checkpoints()[-1].step
    assert reached >= 8
    pretrain("acpc", corpus, killed, overrides=settings)
    assert same(weights(whole), weights(killed))
    assert [line["step"] for line in lines(killed, "train")] == list(range(1, 25))
    assert [line["loss"] for line in lines(killed, "train")] == [line["loss"] for line in lines(whole, "train")]


def test_interrupted_it_saves_and_says_how_to_go_on(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forward, before = ACPC.forward, signal.getsignal(signal.SIGINT)

    def interrupt_at_the_third(self: ACPC, batch: object, step: int, phase: str = "train") -> object:
        if step == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return forward(self, batch, step, phase)  # type: ignore[arg-type]

    monkeypatch.setattr(ACPC, "forward", interrupt_at_the_third)
    with pytest.raises(KeyboardInterrupt, match=r"stopped at update 3 of 20; saved in .*The same command goes on"):
        pretrain("acpc", corpus, tmp_path / "run", overrides=small("trainer.steps=20"))
    assert Run(tmp_path / "run").checkpoints()[-1].step == 3
    assert signal.getsignal(signal.SIGINT) is before


def test_micro_batches_give_the_update_of_the_whole_batch(corpus: Path, tmp_path: Path) -> None:
    settings = small("model.dropout=0.0", "trainer.steps=6")
    pretrain("acpc", corpus, tmp_path / "one", overrides=settings)
    pretrain("acpc", corpus, tmp_path / "two", overrides=(*settings, "trainer.accumulate=2"))
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name in one:
        torch.testing.assert_close(one[name], two[name], atol=2e-5, rtol=0, msg=name)


def test_the_time_before_the_first_update_is_no_training(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second an update; an hour to read the checkpoint, or to make labels."""
    clock = SimpleNamespace(now=0.0, perf_counter=lambda: clock.now)
    prepared, begun = Trainer.resume, Trainer.begin

    def prepare(self: Trainer) -> object:
        clock.now += 3600.0
        return prepared(self)

    def begin(self: Trainer, batches: Sequence[Batch]) -> None:
        clock.now += 1.0
        begun(self, batches)

    monkeypatch.setattr(logs, "time", clock)
    monkeypatch.setattr(Trainer, "resume", prepare)
    monkeypatch.setattr(Trainer, "begin", begin)
    for steps in (5, 8):  # and four more, of which the first was done before
        pretrain("acpc", corpus, tmp_path / "run", overrides=small(f"trainer.steps={steps}", "trainer.log_every=4"))
    assert [line["audio_rate"] for line in lines(tmp_path / "run", "train")] == pytest.approx([1.2, 1.2])


def test_a_loss_that_is_not_finite_is_skipped_and_counted(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forward = ACPC.forward

    def broken(self: ACPC, batch: object, step: int, phase: str = "train") -> object:
        losses = forward(self, batch, step, phase)  # type: ignore[arg-type]
        if step in {1, 3, 4}:
            losses.terms["aligned_contrastive"].sum.data.fill_(torch.nan)
        return losses

    monkeypatch.setattr(ACPC, "forward", broken)
    progress = pretrain("acpc", corpus, tmp_path / "run", overrides=small("trainer.steps=6", "trainer.log_every=1"))
    assert (progress.step, progress.skipped) == (6, 3)
    assert len(lines(tmp_path / "run", "event")) == 3
    assert ["loss" in line for line in lines(tmp_path / "run", "train")] == [True, False, True, False, False, True]
    assert all(value.isfinite().all() for value in weights(tmp_path / "run").values())


def test_three_in_a_row_stop_the_run_with_their_audio(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forward = ACPC.forward

    def broken(self: ACPC, batch: object, step: int, phase: str = "train") -> object:
        losses = forward(self, batch, step, phase)  # type: ignore[arg-type]
        if step >= 4:
            losses.terms["aligned_contrastive"].sum.data.fill_(torch.inf)
        return losses

    monkeypatch.setattr(ACPC, "forward", broken)
    with pytest.raises(UserError, match=r"3 updates in a row .* the last at update 7. Their audio: s\d/s\d-\d@"):
        pretrain("acpc", corpus, tmp_path / "run", overrides=small("trainer.steps=9", "trainer.save_every=2"))
    assert all(value.isfinite().all() for value in weights(tmp_path / "run").values())


def test_a_full_disk_is_explained_and_costs_nothing_saved_before(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = runs.write_bytes

    def full(path: Path, content: bytes) -> None:
        if "step-000004" in str(path) and path.name == runs.STATE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written(path, content)

    monkeypatch.setattr(runs, "write_bytes", full)
    run = tmp_path / "run"
    with pytest.raises(UserError, match=r"the disk is full: step 4 could not be saved.*the checkpoint of step 2 is whole"):
        pretrain("acpc", corpus, run, overrides=small("trainer.steps=6", "trainer.save_every=2"))
    assert [c.name for c in (run / "checkpoints").iterdir()] == ["step-000002"]
    monkeypatch.setattr(runs, "write_bytes", written)
    assert pretrain("acpc", corpus, run, overrides=small("trainer.steps=6", "trainer.save_every=2")).step == 6


def test_a_run_begun_with_another_recipe_is_refused(corpus: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    pretrain("acpc", corpus, run, overrides=small("trainer.steps=2"))
    with pytest.raises(UserError, match=r"begun with another recipe \(model.predictions: 8 -> 6\)"):
        pretrain("acpc", corpus, run, overrides=small("trainer.steps=2", "model.predictions=6"))
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").touch()
    with pytest.raises(UserError, match="not empty and is no run"):
        pretrain("acpc", corpus, tmp_path / "photos", overrides=small("trainer.steps=2"))


AVERAGED = ("trainer.steps=6", "trainer.save_every=1", "trainer.keep=9", "trainer.validate_every=6")


@pytest.fixture
def averaged(corpus: Path, tmp_path: Path) -> Path:
    """A run whose model is the average of its weights, stopped at the fourth of six updates and gone on with."""
    for steps in (4, 6):
        average = (f"trainer.steps={steps}", "trainer.average=0.8")
        pretrain("acpc", corpus, tmp_path / "averaged", valid=corpus, overrides=(*small(*AVERAGED), *average))
    return tmp_path / "averaged"


@pytest.mark.usefixtures("averaged")
def test_the_model_of_a_run_may_be_the_average_of_its_weights(corpus: Path, tmp_path: Path) -> None:
    """The updates are those without it; the average is that of the weights after each; a resume goes on with both."""
    overrides = small(*AVERAGED)
    pretrain("acpc", corpus, tmp_path / "plain", overrides=overrides)
    plain, averaged = (Run(tmp_path / name).checkpoints() for name in ("plain", "averaged"))
    draws.seed_torch("weights", 0)
    expected = dict(read_recipe("acpc", overrides).build_model().state_dict())
    for update, (one, other) in enumerate(zip(plain, averaged, strict=True)):
        assert same(one.weights(), other.state()["weights"])
        decay = min(0.8, (1 + update) / (10 + update))
        for name, value in one.weights().items():
            expected[name] = decay * expected[name] + (1 - decay) * value if value.is_floating_point() else value
            torch.testing.assert_close(other.weights()[name], expected[name], msg=name)
    (valid,) = [line for line in lines(tmp_path / "averaged", "valid") if line["step"] == 6]
    pretrain("acpc", corpus, tmp_path / "again", valid=corpus, overrides=(*overrides, "trainer.average=0.8"))
    (again,) = lines(tmp_path / "again", "valid")
    assert again == valid
    assert same(weights(tmp_path / "again"), weights(tmp_path / "averaged"))


def test_old_checkpoints_go_and_validation_is_written(corpus: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    pretrain(
        "cpc",
        corpus,
        run,
        valid=corpus,
        overrides=small("trainer.steps=8", "trainer.save_every=2", "trainer.keep=2", "trainer.validate_every=4"),
    )
    assert [c.step for c in Run(run).checkpoints()] == [6, 8]
    first, last = lines(run, "valid")
    assert (first["step"], last["step"]) == (4, 8)
    assert last["loss"] < first["loss"]
    assert (run / "model" / "model.safetensors").stat().st_nlink == 2  # not a second copy


def test_a_second_command_over_a_finished_run_does_nothing(corpus: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    pretrain("acpc", corpus, run, overrides=small("trainer.steps=2", "trainer.log_every=1"))
    before = (run / "metrics.jsonl").read_text()
    assert pretrain("acpc", corpus, run, overrides=small("trainer.steps=2")).step == 2
    assert (run / "metrics.jsonl").read_text() == before


def test_rehearse_measures_and_keeps_nothing(corpus: Path, tmp_path: Path) -> None:
    found = rehearse("pretrain", "acpc", corpus, tmp_path / "run", overrides=small())
    assert found.updates == 72  # nine epochs of eight
    assert found.parameters == sum(p.numel() for p in weights_of_a_new_model())
    assert found.audio_hours == pytest.approx(72 * 4 * 0.3 / 3600)
    assert found.hours > 0
    assert not (tmp_path / "run").exists()


def weights_of_a_new_model() -> list[Tensor]:
    return list(read_recipe("acpc", SMALL).build_model().parameters())


def test_a_device_that_is_not_there_is_explained(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="device 'cuda:99' cannot be used here"):
        pretrain("acpc", corpus, tmp_path / "run", overrides=SMALL, device="cuda:99")
