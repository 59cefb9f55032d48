"""A training that is killed, at any of its file operations: the same command ends with the same bytes, log included."""

import io
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import foresay
from foresay.errors import UserError
from foresay.runs import Run
from foresay.workflows.pretrain import pretrain
from reference.interruptions import contents, kill, operations, tear
from reference.two_processes import write_corpus

LENGTH = ("trainer.steps=3", "trainer.save_every=1", "trainer.log_every=1", "trainer.validate_every=2", "trainer.keep=2")
KINDS: dict[str, tuple[str, ...]] = {
    "cpc": (
        *("model.channels=8", "model.context_size=8", "model.context_layers=1", "model.negative_group=2", "model.negative_count=4"),
        *("model.predictions=3", "model.predictor=linear", "data.batch=4", "data.window=4800", "trainer.validate_batches=1"),
    ),
    "hubert-tiny": (
        *("model.classes=5", "model.size=16", "model.layers=1", "model.heads=2", "model.inner=16", "model.channels=8"),
        *(
            "model.position_kernel=16",
            "model.position_groups=4",
            "model.target_size=8",
            "parts.labels.clusters=5",
            "parts.labels.hours=0.01",
        ),
        *("data.seconds=4", "data.shortest=0.5", "data.longest=1", "trainer.validate_batches=1"),
    ),
}
TIMES = ("audio_rate", "data_wait")
"""What no two runs have alike."""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(autouse=True)
def memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that need not be waited for."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


def training(kind: str, corpus: Path, folder: Path) -> Callable[[], object]:
    return lambda: pretrain(kind, corpus, folder, valid=corpus, overrides=(*KINDS[kind], *LENGTH), device="cpu")


def outcome(folder: Path) -> dict[str, Any]:
    """All that a run keeps, but for the times in it: in the log, and in the state of a checkpoint."""
    found: dict[str, Any] = contents(folder)
    for name, content in found.items():
        if name == "metrics.jsonl":
            lines = [json.loads(line) for line in content.decode().splitlines()]
            found[name] = [{key: value for key, value in line.items() if key not in TIMES} for line in lines]
        elif name.endswith("state.pt"):
            state = torch.load(io.BytesIO(content), weights_only=True)
            found[name] = _plain({key: value for key, value in state.items() if key != "window"})
        elif name.endswith("digests.toml"):
            found[name] = [line for line in content.decode().splitlines() if "state.pt" not in line]
    return found


def _plain(value: Any) -> Any:  # noqa: ANN401 - of any shape
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def survives(kind: str, corpus: Path, whole: dict[str, Any], folder: Path, after: int) -> None:
    assert kill(training(kind, corpus, folder), folder, after)
    training(kind, corpus, folder)()
    assert outcome(folder) == whole, after
    shutil.rmtree(folder)


def test_killed_at_some_operations(corpus: Path, tmp_path: Path) -> None:
    count = len(operations(training("cpc", corpus, tmp_path / "whole"), tmp_path / "whole"))
    whole = outcome(tmp_path / "whole")
    assert [line["step"] for line in whole["metrics.jsonl"] if line["kind"] == "train"] == [1, 2, 3]
    for after in random.Random(0).sample(range(count), 3):
        survives("cpc", corpus, whole, tmp_path / "killed", after)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # files that the dead process held open
@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_every_operation(kind: str, corpus: Path, tmp_path: Path) -> None:
    count = len(operations(training(kind, corpus, tmp_path / "whole"), tmp_path / "whole"))
    whole = outcome(tmp_path / "whole")
    assert count > 80
    for after in range(count):
        survives(kind, corpus, whole, tmp_path / "killed", after)


def test_half_a_line_of_the_log_is_forgotten(corpus: Path, tmp_path: Path) -> None:
    training("cpc", corpus, tmp_path / "whole")()
    whole, killed = outcome(tmp_path / "whole"), tmp_path / "killed"
    opened = [
        n
        for n, line in enumerate(operations(training("cpc", corpus, killed), killed))
        if line.startswith("open") and line.endswith("/metrics.jsonl")
    ]
    shutil.rmtree(killed)
    for after in opened[:2]:  # before the first checkpoint, and after it
        assert kill(training("cpc", corpus, killed), killed, after + 1)
        tear(killed / "metrics.jsonl")
        training("cpc", corpus, killed)()
        assert outcome(killed) == whole
        shutil.rmtree(killed)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_kill_9_at_random_moments(kind: str, corpus: Path, tmp_path: Path) -> None:
    training(kind, corpus, tmp_path / "whole")()
    whole = outcome(tmp_path / "whole")
    words = [kind, "--corpus", corpus, "--valid", corpus, "--run", tmp_path / "killed", "--device", "cpu"]
    words += itertools.chain(*(("--set", setting) for setting in (*KINDS[kind], *LENGTH)))
    command = [sys.executable, "-m", "foresay", "pretrain", *map(str, words)]
    drawn = random.Random(0)
    for _ in range(5):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and not (tmp_path / "killed" / "metrics.jsonl").exists():
            time.sleep(0.005)
        time.sleep(drawn.uniform(0, 1))
        process.send_signal(signal.SIGKILL)
        process.wait()
    training(kind, corpus, tmp_path / "killed")()
    assert outcome(tmp_path / "killed") == whole


def test_a_damaged_newest_checkpoint_is_reported_and_the_one_before_serves(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    training("cpc", corpus, tmp_path / "run")()
    run = Run(tmp_path / "run")
    whole = outcome(run.folder)
    state = run.checkpoints()[-1].folder / "state.pt"
    state.write_bytes(state.read_bytes()[:1000])
    training("cpc", corpus, tmp_path / "run")()
    assert "step-000003/state.pt is not what was written" in capsys.readouterr().out
    (aside,) = (run.folder / "checkpoints").glob("damaged-*")
    assert aside.name == "damaged-step-000003"
    shutil.rmtree(aside)
    found = outcome(run.folder)
    events = [line for line in found["metrics.jsonl"] if line["kind"] == "event"]
    assert ["a checkpoint is damaged" in event["message"] for event in events] == [True]
    assert [line for line in found["metrics.jsonl"] if line["kind"] != "event"] == whole.pop("metrics.jsonl")
    assert {name: found[name] for name in whole} == whole


def test_where_no_checkpoint_can_be_read_nothing_is_begun_anew(corpus: Path, tmp_path: Path) -> None:
    training("cpc", corpus, tmp_path / "run")()
    for checkpoint in Run(tmp_path / "run").checkpoints():
        (checkpoint.folder / "model.safetensors").unlink()
    before = contents(tmp_path / "run")
    with pytest.raises(UserError, match=r"no checkpoint of .* can be read: .*step-000003.*step-000002"):
        training("cpc", corpus, tmp_path / "run")()
    assert contents(tmp_path / "run") == before


def test_a_run_that_is_trained_elsewhere_is_refused(corpus: Path, tmp_path: Path) -> None:
    with Run(tmp_path / "run").alone(), pytest.raises(UserError, match=r"run is in use by process \d+ on .*, since"):
        training("cpc", corpus, tmp_path / "run")()
    training("cpc", corpus, tmp_path / "run")()
    foresay.load(tmp_path / "run")


def test_what_was_left_by_a_kill_at_the_very_start_is_nothing(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".unfinished-recipe.toml").touch()
    training("cpc", corpus, tmp_path / "run")()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").touch()
    with pytest.raises(UserError, match="is not empty and is no run"):
        training("cpc", corpus, tmp_path / "other")()
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["letter.txt"]
