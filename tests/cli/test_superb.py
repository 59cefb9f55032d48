"""`foresay superb` as it is typed."""

import re
from pathlib import Path
from typing import Any

import pytest

from foresay.cli import main, superb
from foresay.results import Result
from foresay.workflows.superb import TenTasks


def result(model: str, value: float, layer: str = "sum", **details: object) -> Result:
    return Result(
        model,
        "keyword_spotting",
        "tiny",
        "accuracy",
        layer,
        "test",
        value,
        None,
        None,
        "x/test",
        None,
        0,
        1.0,
        direction="higher",
        unit="%",
        headline=True,
        details=details,
    )


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the workflow is asked for."""
    found: dict[str, Any] = {}

    def answer(models: tuple[str, ...], corpus: str, **rest: Any) -> TenTasks:  # noqa: ANN401 - as it is called
        found.update(rest, models=models, corpus=corpus)
        rows = [result(model, value) for model, value in (("logmel", 0.1), ("a", 0.2), ("b", 0.3))]
        rows += [result(model, value, "normed sum", note="of layers") for model, value in (("logmel", 0.1), ("a", 0.2), ("b", 0.3))]
        return TenTasks(rows, {"sd": "sd/train.jsonl is missing"})

    monkeypatch.setattr(superb, "superb", answer)
    return found


def test_what_is_printed(asked: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["superb", "a", "b", "--corpus", "embedded"]) == 0
    head, *rows, tau, left_out, note = capsys.readouterr().out.strip().splitlines()
    assert re.split(r"\s{2,}", head) == ["model", "KS accuracy, %", "score"]
    assert [re.split(r"\s{2,}", line) for line in rows] == [["logmel", "10.0", "0"], ["a", "20.0", "500"], ["b", "30.0", "1000"]]
    assert tau.endswith("+1.00")
    assert (left_out, note) == ("sd is left out: sd/train.jsonl is missing", "of layers")
    assert {key: asked[key] for key in ("models", "corpus", "protocol", "tasks", "options", "layers", "budget", "seed", "again")} == {
        "models": ("a", "b"),
        "corpus": "embedded",
        "protocol": None,
        "tasks": (),
        "options": (),
        "layers": None,
        "budget": None,
        "seed": 0,
        "again": False,
    }


@pytest.mark.parametrize("text, seconds", [("90s", 90), ("30min", 1800), ("2h", 7200), ("1.5 h", 5400)])
def test_a_budget_has_a_unit(asked: dict[str, Any], text: str, seconds: float) -> None:
    typed = [
        "--corpus",
        "x",
        "--protocol",
        "clean",
        "--tasks",
        "pr,ks",
        "--option",
        "ks.updates=2",
        "--option",
        "pr.seeds=3",
        "--layers",
        "L1,L2",
    ]
    assert main(["superb", "a", *typed, "--budget", text, "--seed", "4", "--again"]) == 0
    assert (asked["budget"], asked["tasks"], asked["options"]) == (seconds, ("pr", "ks"), ("ks.updates=2", "pr.seeds=3"))
    assert (asked["layers"], asked["seed"], asked["again"], asked["protocol"]) == (["L1", "L2"], 4, True, "clean")


@pytest.mark.parametrize("text", ["90", "0s", "2 days", "h", "-1s", "1e3s"])
def test_a_budget_that_is_none_is_refused(asked: dict[str, Any], capsys: pytest.CaptureFixture[str], text: str) -> None:
    assert main(["superb", "a", "--corpus", "x", f"--budget={text}"]) == 2
    assert "--budget takes a time such as 90s, 30min or 2h" in capsys.readouterr().err
    assert not asked


def test_published_numbers_stand_beside_ours_where_the_data_are_theirs(
    asked: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["superb", "a", "--corpus", str(tmp_path), "--protocol", "superb"]) == 0
    assert "HuBERT BASE (published, original data)" in capsys.readouterr().out
    assert main(["superb", "a", "--corpus", str(tmp_path), "--protocol", "tiny"]) == 0
    (tmp_path / "corpus.toml").touch()
    assert main(["superb", "a", "--corpus", str(tmp_path), "--protocol", "superb"]) == 0
    assert main(["superb", "a", "--corpus", "embedded", "--protocol", "superb"]) == 0
    assert "published" not in capsys.readouterr().out
    assert asked


def test_a_mistake_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for typed in (["--tasks", "kws", "--protocol", "clean"], ["--protocol", "tiny"], []):
        assert main(["superb", "logmel", "--corpus", str(tmp_path), *typed]) == 2
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        assert captured.err.startswith("foresay: ")
