"""Results and artifacts come back as they were written."""

from pathlib import Path

import numpy as np
import pytest

from foresay.errors import UserError
from foresay.results import Result, append_results, load_artifact, read_lines, read_results, save_artifact


def _result(value: float) -> Result:
    return Result(
        "runs/acpc", "probe", "paper", "accuracy", "c", "test", value, 0.4, None, "timit/test", 100, 0, 1.5, details={"classes": 39}
    )


def test_results_are_added_and_read(tmp_path: Path) -> None:
    path = tmp_path / "run" / "results.jsonl"
    assert read_results(path) == []
    append_results(path, [_result(0.5)])
    append_results(path, [_result(0.6), _result(0.7)])
    assert read_results(path) == [_result(0.5), _result(0.6), _result(0.7)]


def test_a_line_that_a_kill_cut_short_gives_way_to_the_next(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    append_results(path, [_result(0.5)])
    path.write_text(path.read_text() + '{"model": "ru')
    append_results(path, [_result(0.6)])
    assert read_results(path) == [_result(0.5), _result(0.6)]


def test_a_last_line_cut_short_is_left_out_but_a_broken_one_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"st')
    assert list(read_lines(path)) == [{"step": 1}]
    path.write_text('{"step": 1}\n{"st\n{"step": 3}\n')
    with pytest.raises(UserError, match="line 2 is not JSON"):
        list(read_lines(path))


def test_artifacts_are_written_whole(tmp_path: Path) -> None:
    assert load_artifact(tmp_path, "example") is None
    arrays = {"waveform": np.arange(5, dtype=np.float32), "id": np.array("a/b")}
    save_artifact(tmp_path, "example", arrays)
    found = load_artifact(tmp_path, "example")
    assert found is not None
    assert found.keys() == arrays.keys()
    np.testing.assert_array_equal(found["waveform"], arrays["waveform"])
    assert str(found["id"]) == "a/b"
    with pytest.raises(TypeError, match="thing hold objects"):
        save_artifact(tmp_path, "other", {"thing": np.array([{}])})
    assert [path.name for path in (tmp_path / "artifacts").iterdir()] == ["example.npz"]
