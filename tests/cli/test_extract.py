"""`foresay extract` as it is typed."""

from pathlib import Path

import numpy as np
import pytest

from foresay.cli import main
from reference.levels import write_corpus


def test_it_says_what_it_wrote_and_what_it_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_corpus(tmp_path / "m.jsonl", 2)
    (tmp_path / "audio" / "broken.wav").write_text("no")
    typed = ["extract", "mfcc", f"{tmp_path}/audio", f"{tmp_path}/out", "--layer", "mfcc"]
    assert main(typed) == 0
    first, second, third = capsys.readouterr().out.splitlines()
    assert first == f"2 recordings written; see {tmp_path}/out/index.jsonl"
    assert second.startswith("left out: broken: ")
    assert third == f"1 recording could not be read: all are listed in {tmp_path}/out/left-out.txt"
    assert np.load(tmp_path / "out" / "m-0.npy").shape[1] == 39
    assert main(typed) == 0
    assert capsys.readouterr().out.startswith("0 recordings written, 2 had been written before;")


def test_nothing_readable_is_a_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["extract", "mfcc", f"{tmp_path}/none.wav", f"{tmp_path}/out", "--layer", "mfcc"]) == 2
    assert "there is no file" in capsys.readouterr().out
