"""The run folder: whole after a kill at any of its operations, and whatever is damaged is noticed."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from foresay.errors import UserError
from foresay.runs import DamagedError, Data, Run, verify
from foresay.settings import write_toml
from reference.interruptions import contents, kill, operations

STEPS = 3


@pytest.fixture(autouse=True)
def memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that need not be waited for."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


def weights(step: int) -> dict[str, Tensor]:
    return {"weight": torch.full((3,), float(step)), "bias": torch.arange(2.0)}


def work(folder: Path) -> None:
    """What the trainer does with a run of three steps, without the learning."""
    run = Run(folder)
    with run.alone():
        run.begin("# recipe\n", {"train": Data("m.jsonl", 3, 0.5, "d")})
        saved = run.checkpoints()
        done = 0
        if saved:
            saved[-1].verify()
            done = int(saved[-1].state()["step"])
            run.settle(saved[-1], keep=2)
            run.forget_metrics_after(done)
        else:
            run.forget_metrics()
        for step in range(done + 1, STEPS + 1):
            run.log({"step": step, "loss": 1 / step})
            run.save(step, weights(step), {"step": step}, write_toml({"step": step}), keep=2)


def test_killed_at_any_operation_the_same_command_completes_to_the_same_bytes(tmp_path: Path) -> None:
    count = len(operations(lambda: work(tmp_path / "whole"), tmp_path))
    whole = contents(tmp_path / "whole")
    assert {"checkpoints/step-000003/digests.toml", "model/model.safetensors", "model/model.toml", "model/digests.toml"} < whole.keys()
    assert not any(name.startswith(".") for path in whole for name in path.split("/"))
    assert count > 60
    for after in range(count):
        folder = tmp_path / str(after)
        assert kill(lambda folder=folder: work(folder), tmp_path, after)  # type: ignore[misc]
        if (folder / "model").exists():  # whoever reads now finds a model that is whole
            verify(folder / "model", ("model.safetensors", "model.toml"))
        work(folder)
        assert contents(folder) == whole, after
        shutil.rmtree(folder)


@pytest.mark.slow
def test_killed_twice(tmp_path: Path) -> None:
    count = len(operations(lambda: work(tmp_path / "whole"), tmp_path))
    whole = contents(tmp_path / "whole")
    for after in range(0, count, 7):
        for again in (0, 5, 11, 17, 23):
            folder = tmp_path / f"{after}-{again}"
            for left in (after, again):
                kill(lambda folder=folder: work(folder), tmp_path, left)  # type: ignore[misc]
            work(folder)
            assert contents(folder) == whole, (after, again)
            shutil.rmtree(folder)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    work(tmp_path / "run")
    return Run(tmp_path / "run")


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5])


@pytest.mark.parametrize("harm", [flip, cut, Path.unlink])
@pytest.mark.parametrize("name", ["model.safetensors", "state.pt", "model.toml"])
def test_a_damaged_file_is_named(run: Run, name: str, harm: Callable[[Path], None]) -> None:
    newest, before = run.checkpoints()[-1], run.checkpoints()[-2]
    harm(newest.folder / name)
    with pytest.raises(DamagedError, match=rf"step-000003/{name} is (missing|not what was written)"):
        newest.verify()
    before.verify()


def test_digests_that_cannot_be_read_are_damage_too(run: Run) -> None:
    newest = run.checkpoints()[-1]
    (newest.folder / "digests.toml").write_bytes(b"\xff = 3")
    with pytest.raises(DamagedError, match="digests.toml"):
        newest.verify()


def test_files_of_older_versions_have_no_digests(run: Run) -> None:
    newest = run.checkpoints()[-1]
    for name in ("digests.toml", "model.toml"):
        (newest.folder / name).unlink()
    newest.verify()
    run.settle(newest, keep=2)  # its description is in `model` alone, and stays
    assert "step = 3" in (run.folder / "model" / "model.toml").read_text()
    cut(newest.folder / "model.safetensors")
    cut(newest.folder / "state.pt")
    with pytest.raises(DamagedError, match="model.safetensors cannot be read"):
        newest.weights()
    with pytest.raises(DamagedError, match="state.pt cannot be read"):
        newest.state()


def test_a_model_that_is_not_the_newest_checkpoint_is_published_again(run: Run) -> None:
    whole = contents(run.folder)
    for harm in (flip, cut, Path.unlink):
        for name in ("model.safetensors", "model.toml", "digests.toml"):
            path = run.folder / "model" / name
            content = path.read_bytes()
            path.unlink()  # not the checkpoint's file too
            path.write_bytes(content)
            harm(path)
            run.settle(run.checkpoints()[-1], keep=2)
            assert contents(run.folder) == whole


def test_other_names_among_the_checkpoints_are_none(run: Run) -> None:
    for name in ("step-", "step-x", ".unfinished-step-000009", "damaged-step-000007"):
        (run.folder / "checkpoints" / name).mkdir()
    assert [c.step for c in run.checkpoints()] == [2, 3]


def test_two_do_not_work_in_one_run(run: Run) -> None:
    with run.alone():
        (lock,) = run.folder.glob(".*")
        holder = json.loads(lock.read_text())
        with (
            pytest.raises(UserError, match=rf"run is in use by process {holder['process']} on .*, since .*choose another --run"),
            run.alone(),
        ):
            pass
        lock.write_text("")  # of one that is just about to write its name
        with pytest.raises(UserError, match="in use by another process"), run.alone():
            pass
    assert not list(run.folder.glob(".*"))
    lock.write_text("left by a crash")
    work(run.folder)
    assert not lock.exists()


@pytest.mark.parametrize("text", ["train = 3", "[train]\nmanifest = 3", "[train]\nrecordings = 1", "[train", "\xff"])
def test_data_of_another_shape_are_named(run: Run, text: str) -> None:
    run.data.write_bytes(text.encode("latin1"))
    with pytest.raises(UserError, match=r"data.toml"):
        run.read_data()
