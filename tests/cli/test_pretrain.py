"""`foresay pretrain` under torchrun: however many processes there are, one speaks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from foresay.cli import INTERRUPTED, _training
from foresay.errors import UserError
from reference.two_processes import SMALL, write_corpus

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "--"]


@pytest.mark.parametrize("rank", ["0", "1"])
def test_only_the_first_process_speaks_of_an_interruption(rank: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", rank)
    with pytest.raises((KeyboardInterrupt, SystemExit)) as caught, _training._one_voice():
        raise KeyboardInterrupt
    assert caught.type is (KeyboardInterrupt if rank == "0" else SystemExit)
    assert caught.value.args == (() if rank == "0" else (INTERRUPTED,))


@pytest.mark.parametrize("rank, waits", [("0", []), ("1", [_training.PATIENCE])])
def test_the_other_processes_wait_before_they_complain(rank: str, waits: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setattr(_training.time, "sleep", waited.append)
    with pytest.raises(UserError), _training._one_voice():
        raise UserError
    assert waited == waits


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["replicate", "shard"])
def test_torchrun_says_everything_once(parallel: str, tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path)
    settings = [word for setting in (*SMALL, f"trainer.parallel={parallel}") for word in ("--set", setting)]
    command = [*TORCHRUN, "foresay", "pretrain", "acpc", "--corpus", str(corpus), "--valid", str(corpus), "--run", "run", "--device", "cpu"]
    place = {"cwd": tmp_path, "env": {**os.environ, "OMP_NUM_THREADS": "1"}}
    done = subprocess.run([*command, *settings], **place, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["run: 9 updates done. The model is in run/model."]
    failed = subprocess.run([*command, *settings, "--set", "model.matched=9"], **place, capture_output=True, text=True, check=False)
    assert failed.returncode == 1  # torchrun's own
    assert failed.stderr.count("foresay: run was begun with another recipe") == 1
