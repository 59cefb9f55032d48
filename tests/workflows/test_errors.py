"""`foresay errors` from end to end, and what goes wrong."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from foresay.cli import main
from foresay.errors import UserError
from foresay.results import append_results, read_results
from foresay.workflows.errors import errors
from reference.example_run import write_run
from reference.recognized_run import SPOKEN, write_recognized

GREEDY = ("TE CAT SAT", "ANY ONE MAY <SEA> IT", "A & B C")


def test_the_command_prints_rates_errors_and_transcripts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_recognized(tmp_path / "asr", {"greedy": GREEDY, "ngram": SPOKEN})
    assert main(["errors", str(folder), "--most", "1", "--transcripts", "1"]) == 0
    said = capsys.readouterr().out
    for lines in (
        "Word errors on corpus/test\n\n             word error rate (%)  deletion error rate (%)\nasr, greedy  54.5 (53.5 to 55.5)  ",
        "\nSubstitutions\nasr, greedy\n<SEE> -> <SEA> (1)\n\nDeletions\nasr, greedy\nTODAY (1)\n",
        "\nSplits\nasr, greedy\nANYONE -> ANY ONE (1)\n",
        "\nWords most often wrong, asr, greedy\nword   spoken  wrong  share\n<SEE>  1       1      100%\n",
        "\nTranscripts: errors are in capitals; * is a missing word.\n\nu2\n",
        "Reference    a & b\nasr, greedy  a & b C\nasr, ngram   a & b\n",
    ):
        assert lines in said
    assert "do not compare" not in said
    assert "Joins" not in said


def test_another_normalization_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [write_recognized(tmp_path / "one", {"greedy": GREEDY})]
    folders.append(write_recognized(tmp_path / "two", {"greedy": GREEDY}, spoken=("CAT'S", *SPOKEN[1:])))
    assert main(["errors", *map(str, folders)]) == 0
    assert "their rates do not compare" in capsys.readouterr().out


def test_runs_without_transcripts_are_explained(tmp_path: Path) -> None:
    other = write_run(tmp_path / "acpc")
    with pytest.raises(UserError, match=r"no transcripts of .*acpc to look at: `foresay evaluate .*acpc .*\(error rates keep them\)"):
        errors(other)
    older = tmp_path / "older"
    rows = read_results(write_recognized(tmp_path / "asr", {"greedy": GREEDY}) / "results.jsonl")
    append_results(older / "results.jsonl", [replace(row, details={}) for row in rows])
    with pytest.raises(UserError, match="by a version that kept none: add --again"):
        errors([older])
    with pytest.raises(UserError, match="there is no run"):
        errors(tmp_path / "nowhere")


def test_senseless_numbers_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_recognized(tmp_path / "asr", {"greedy": GREEDY})
    assert main(["errors", str(folder), "--transcripts", "-1"]) == 2
    assert "transcripts" in capsys.readouterr().err


def test_no_runs_are_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["errors"]) == 2
    assert "which runs? Name one or more folders" in capsys.readouterr().err


def test_looking_needs_no_torch() -> None:
    code = "import sys, foresay.cli.errors; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
