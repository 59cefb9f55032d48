"""Results and artifacts come back as they were written."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from foresay.errors import UserError
from foresay.results import (
    Draws,
    Metric,
    Result,
    append_results,
    load_artifact,
    read_lines,
    read_results,
    save_artifact,
    save_draws,
    with_draws,
)


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


@pytest.mark.parametrize(
    "line, message",
    [
        (b'{"model": "\xff"}\n', "line 2: byte 0xff is not UTF-8"),
        (b"[" * 100_000 + b"\n", "line 2 is nested too deeply"),
        (b"[1, 2]\n", "line 2 must hold a JSON object, not list"),
        (b"17\n", "line 2 must hold a JSON object, not int"),
        (b'{"model": 1' + b"0" * 5000 + b"}\n", "line 2 is not JSON"),
        (b"{}\n", "line 2 is no result: 'model' is missing"),
        (b'{"model": 3}\n', "line 2 is no result: 'model' is 3"),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, line: bytes, message: str) -> None:
    path = tmp_path / "results.jsonl"
    append_results(path, [_result(0.5)])
    path.write_bytes(path.read_bytes() + line + path.read_bytes())
    with pytest.raises(UserError, match=message):
        read_results(path)


@pytest.mark.parametrize(
    "key, value",
    [
        *(("value", wrong) for wrong in ("0.5", None, True)),
        *(("drawn", wrong) for wrong in ({"what": "speakers"}, 3)),
        *(("low", []), ("step", 1.5), ("seed", None), ("details", []), ("direction", "up"), ("headline", 1), ("seconds", 10**400)),
    ],
)
def test_a_value_of_another_type_is_named(tmp_path: Path, key: str, value: object) -> None:
    path = tmp_path / "results.jsonl"
    append_results(path, [_result(0.5)])
    line = json.loads(path.read_text())
    path.write_text(json.dumps({**line, key: value}) + "\n")
    with pytest.raises(UserError, match=rf"line 1 is no result: '{key}' is .* the same `foresay evaluate` measures its results again"):
        read_results(path)


def test_lines_of_older_and_newer_versions_are_read(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    append_results(path, [_result(0.5)])
    line = json.loads(path.read_text())
    old = {key: line[key] for key in line.keys() - {"direction", "unit", "headline", "model_fingerprint", "data_fingerprint", "drawn"}}
    path.write_text(json.dumps({**old, "color": "blue"}) + "\n")
    (found,) = read_results(path)
    assert found == _result(0.5)
    assert found.declared == Metric("none")  # not ranked: nobody guesses


def test_not_a_number_and_infinity_come_back(tmp_path: Path) -> None:
    append_results(tmp_path / "results.jsonl", [_result(float("inf")), _result(float("nan"))])
    first, second = read_results(tmp_path / "results.jsonl")
    assert first.value == float("inf")
    assert second.value != second.value


def test_a_last_line_that_lacks_only_its_end_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    append_results(path, [_result(0.5)])
    path.write_text(path.read_text().rstrip("\n"))  # as some editors leave it
    assert read_results(path) == [_result(0.5)]
    append_results(path, [_result(0.6)])
    assert read_results(path) == [_result(0.5), _result(0.6)]


def test_a_last_line_that_is_whole_and_no_json_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\nhello\n')
    with pytest.raises(UserError, match="line 2 is not JSON"):
        list(read_lines(tmp_path / "metrics.jsonl"))


def test_draws_come_back_with_what_was_drawn(tmp_path: Path) -> None:
    draws = Draws("speakers", ("a", "b", "c", "d", "e"), 3, np.arange(4.0))
    row = dataclasses.replace(_result(0.5), seed=3, high=0.6, details={"fingerprint": "x"}, drawn=draws.drawn, draws=draws)
    save_draws(tmp_path, [row])
    save_draws(tmp_path, [dataclasses.replace(row, layer="z")])
    bare = dataclasses.replace(row, draws=None)
    (found,) = with_draws(tmp_path, [bare])
    assert found.draws is not None
    assert (found.draws.what, found.draws.names, found.draws.seed, found.draws.drawn) == ("speakers", draws.names, 3, draws.drawn)
    np.testing.assert_array_equal(found.draws.values, draws.values)
    for other in (Draws("items", *draws[1:]), draws._replace(names=("b", "a", "c", "d", "e")), draws._replace(seed=4)):
        assert other.drawn != draws.drawn
        (lost,) = with_draws(tmp_path, [dataclasses.replace(bare, drawn=other.drawn)])
        assert lost.draws is None
