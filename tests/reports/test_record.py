"""What a folder holds, and what is said of a folder that is no run."""

from pathlib import Path

import numpy as np
import pytest

from foresay.errors import UserError
from foresay.reports.record import read_records
from reference.example_run import write_run


def test_curves_are_what_was_logged(tmp_path: Path) -> None:
    (record,) = read_records([write_run(tmp_path / "run")])
    steps, values = record.curve("valid", "loss")
    np.testing.assert_allclose(steps, [20, 40])
    np.testing.assert_allclose(values, [48.5, 44.0])
    assert record.scalars == ["loss", "accuracy", "lr", "grad_norm", "latent_std", "audio_rate", "data_wait", "skipped"]
    assert (record.step, record.planned) == (40, 40)


def test_training_time_is_audio_over_rate(tmp_path: Path) -> None:
    (record,) = read_records([write_run(tmp_path / "run")])
    assert record.audio_seconds == pytest.approx(40 * 8 * 1.28)
    assert record.training_seconds == pytest.approx(40 * 8 * 1.28 / 20.48)


def test_runs_of_one_name_are_distinguished(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / day / "acpc", results=False, example=False) for day in ("monday", "friday")]
    assert [record.name for record in read_records([*folders, folders[0]])] == ["monday/acpc", "friday/acpc"]


def test_a_log_cut_short_by_a_kill_is_read(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", results=False, example=False)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "train", "st')
    assert read_records([folder])[0].step == 40


@pytest.mark.parametrize(
    "wrong, hint",
    [
        ("runs/acp", "there is no run .*runs/acp.* Did you mean: foresay report .*runs/acpc"),
        ("runs", "is not a run but a folder of runs: name them one by one.*runs/acpc"),
        ("runs/acpc@500", "names one step of a run.*foresay report .*runs/acpc$"),
        ("runs/acpc/artifacts", "lies inside a run.*foresay report .*runs/acpc$"),
        ("runs/acpc/recipe.toml", "is a file, not a run"),
        ("elsewhere", "is not a run: none of recipe.toml, metrics.jsonl, results.jsonl is in it.*foresay pretrain"),
    ],
)
def test_what_is_no_run_is_explained(tmp_path: Path, wrong: str, hint: str) -> None:
    write_run(tmp_path / "runs" / "acpc")
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(UserError, match=hint):
        read_records([tmp_path / wrong])


def test_no_run_at_all() -> None:
    with pytest.raises(UserError, match=r"which runs\? Name one or more"):
        read_records([])
