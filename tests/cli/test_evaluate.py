"""`foresay evaluate` as it is typed."""

from dataclasses import replace
from pathlib import Path

import pytest

from foresay.cli import main
from foresay.errors import UserError
from foresay.evaluation.probes.linear_probe import CONVERGED
from foresay.evaluation.probes.probe import Probe
from foresay.workflows.evaluate import evaluate
from reference.levels import PHONES, write_corpus
from reference.tiny_run import write_run


def test_a_table_of_what_was_tested(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(Probe.protocols, "converged", replace(CONVERGED, epochs=2))
    write_corpus(tmp_path / "corpus" / "test.jsonl", 5, seed=2, phones=(*PHONES, "q"))
    write_corpus(tmp_path / "corpus" / "train.jsonl", 6, seed=1)
    write_run(tmp_path / "mine", step=1200)
    typed = [
        "evaluate",
        f"{tmp_path}/mine",
        "--corpus",
        f"{tmp_path}/corpus/test.jsonl",
        "--train-corpus",
        f"{tmp_path}/corpus/train.jsonl",
    ]
    assert main([*typed, "--measures", "probe:converged", "--layers", "z,c"]) == 0
    printed = capsys.readouterr().out
    title, header, *rows, note = printed.strip().splitlines()
    assert title == "probe:converged, accuracy (%) on corpus/test, with 95 % intervals"
    assert header.split("  ")[0] == "model"
    assert "gain over untrained" in header
    assert sorted(row.split("  ")[0] for row in rows) == sorted(
        ["mine"] * 2 + ["mine (untrained)"] * 2 + ["mfcc", "logmel", "majority class"]
    )
    trained = next(row for row in rows if row.startswith("mine  "))
    assert "1,200" in trained
    assert trained.count("[") == 2
    assert note == "Phones that training never showed, counted as errors: q"
    assert "\033" not in printed  # no terminal, nothing bold


def test_a_mistake_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_corpus(tmp_path / "test.jsonl", 2)
    assert main(["evaluate", "mfcc", "--corpus", f"{tmp_path}/test.jsonl", "--measures", "prob:paper"]) == 2
    captured = capsys.readouterr()
    assert 'did you mean "probe:paper"?' in captured.err
    assert "Traceback" not in captured.err


def test_options_and_notes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_corpus(tmp_path / "corpus" / "test.jsonl", 4)
    text = (tmp_path / "corpus" / "test.jsonl").read_text()
    (tmp_path / "corpus" / "test.jsonl").write_text(text.replace('"phones": [[0.0, ', '"phones": [[0.0, 0.002, "b"], [0.002, '))
    typed = ["evaluate", "mfcc", "--corpus", f"{tmp_path}/corpus/test.jsonl", "--measures", "abx:phone"]
    assert main([*typed, "--option", "abx.max_size_group=5", "--option", "abx.max_x_across=0"]) == 0
    printed = capsys.readouterr().out
    assert "abx:phone(max_size_group=5, max_x_across=0), error within speakers (%) on corpus/test, with 95 % intervals" in printed
    assert "no interval: 2 speakers" in printed
    assert "abx of mfcc, mfcc: of 84 tokens 4 hold no frame and were left out, 2 lost one or two" in printed


def test_a_measure_must_be_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Papers disagree, and the number depends on it: there is no default, neither here nor in Python."""
    write_corpus(tmp_path / "test.jsonl", 2)
    assert main(["evaluate", "mfcc", "--corpus", f"{tmp_path}/test.jsonl"]) == 2
    printed = capsys.readouterr().err
    assert "--measures NAME:PROTOCOL" in printed
    assert all(name in printed for name in ("abx:phone", "clusters:k50", "probe:paper", "probe:converged (how well", "tsne:phones"))
    with pytest.raises(UserError, match="--measures NAME:PROTOCOL"):
        evaluate(["mfcc"], tmp_path / "test.jsonl", out=tmp_path)


def test_a_seed_below_0_is_refused(tmp_path: Path) -> None:
    write_corpus(tmp_path / "test.jsonl", 2)
    with pytest.raises(UserError, match="seed must be 0 or more, not -1"):
        evaluate(["mfcc"], tmp_path / "test.jsonl", measures=["geometry:frames"], out=tmp_path, seed=-1)


def test_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["evaluate", "--help"])
    assert end.value.code == 0
    printed = capsys.readouterr().out
    assert "foresay evaluate runs/demo-cpc" in printed
    assert "--train-corpus" in printed
