"""`foresay report` from end to end: where the page lies, and what goes wrong."""

import subprocess
import sys
from pathlib import Path

import pytest

from foresay.cli import main
from foresay.errors import UserError
from foresay.workflows.report import report
from reference.example_run import write_run


def make(folder: Path) -> Path:
    return write_run(folder, steps=0, results=False, example=False)


def test_the_page_of_one_run_lies_in_it(tmp_path: Path) -> None:
    run = make(tmp_path / "acpc")
    assert report(run) == run / "report.html"
    assert (run / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_page_of_several_lies_where_they_meet(tmp_path: Path) -> None:
    runs = [make(tmp_path / "a" / "cpc"), make(tmp_path / "b" / "acpc")]
    assert report(runs) == tmp_path / "report.html"


def test_it_lies_where_it_is_wanted(tmp_path: Path) -> None:
    run = make(tmp_path / "acpc")
    assert report(run, tmp_path / "new" / "page.html") == tmp_path / "new" / "page.html"
    assert report(str(run), tmp_path) == tmp_path / "report.html"
    assert not list(tmp_path.rglob(".unfinished*"))


def test_a_file_in_the_way_is_explained(tmp_path: Path) -> None:
    run = make(tmp_path / "acpc")
    with pytest.raises(UserError, match="is a file, not a folder"):
        report(run, run / "recipe.toml" / "page.html")


def test_the_command_says_where_the_page_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make(tmp_path / "acpc")
    assert main(["report", str(run)]) == 0
    assert f"{run / 'report.html'} (" in capsys.readouterr().out


def test_the_command_explains_a_wrong_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path / "nowhere")]) == 2
    assert "there is no run" in capsys.readouterr().err


def test_drawing_needs_no_torch() -> None:
    code = "import sys, foresay.workflows.report; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
