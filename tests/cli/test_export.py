"""`foresay export` as it is typed."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from foresay.cli import export, main
from reference.tiny_run import write_run


def test_it_says_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def written(model: str, dest: Path, *, to: str, layers: Sequence[str] | None) -> Path:
        assert (model, dest, to, layers) == ("runs/cpc", tmp_path, "torch", ["z", "c"])
        (dest / "model.pt2").write_bytes(bytes(1_660_000))
        (dest / "export.json").touch()
        return dest

    monkeypatch.setattr(export, "export", written)
    assert main(["export", "runs/cpc", f"{tmp_path}", "--to", "torch", "--layers", "z,c"]) == 0
    assert capsys.readouterr().out.splitlines() == [f"{tmp_path}/export.json (0.0 MB)", f"{tmp_path}/model.pt2 (1.7 MB)"]


def test_a_folder_that_is_not_empty_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "run")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").touch()
    assert main(["export", f"{tmp_path}/run", f"{tmp_path}/out", "--to", "huggingface"]) == 2
    assert "not an empty folder" in capsys.readouterr().err


@pytest.mark.slow
def test_a_program_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "run")
    assert main(["export", f"{tmp_path}/run", f"{tmp_path}/out", "--to", "torch", "--layers", "z,c"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith(f"{tmp_path}/out/model.pt2 (")
