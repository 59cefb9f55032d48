"""`foresay export` as it is typed."""

from pathlib import Path

import pytest

from foresay.cli import main
from reference.tiny_run import write_run


def test_it_says_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "run")
    assert main(["export", f"{tmp_path}/run", f"{tmp_path}/out", "--to", "torch", "--layers", "z,c"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith(f"{tmp_path}/out/model.pt2 (")
    assert main(["export", f"{tmp_path}/run", f"{tmp_path}/out", "--to", "huggingface"]) == 2
    assert "not an empty folder" in capsys.readouterr().err
