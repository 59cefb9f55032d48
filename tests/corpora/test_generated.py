"""Corpora that are made: whole whenever the process is killed, by one process, and what a kill left is nothing."""

import os
import shutil
from pathlib import Path

import pytest
import soundfile

from foresay.corpora.made.sines import make_sines
from foresay.errors import UserError
from foresay.locks import exclusive
from reference.interruptions import contents, kill, operations


@pytest.fixture(autouse=True)
def memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that need not be waited for."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


def test_killed_anywhere_the_same_command_makes_the_same_corpus(tmp_path: Path) -> None:
    def make(folder: Path) -> None:
        make_sines(folder, train=4, test=2)

    count = len(operations(lambda: make(tmp_path / "whole"), tmp_path / "whole"))
    whole = contents(tmp_path / "whole")
    assert count > 10
    for after in range(count):
        folder = tmp_path / "killed"
        assert kill(lambda folder=folder: make(folder), folder, after)  # type: ignore[misc]
        make(folder)
        found = contents(folder)
        found.pop(".unfinished-lock", None)  # of a kill at the very end: it holds nobody
        assert found == whole, after
        shutil.rmtree(folder)


def test_what_a_kill_left_is_nothing_and_damage_is_told(tmp_path: Path) -> None:
    (tmp_path / ".unfinished-corpus.toml").touch()
    assert not make_sines(tmp_path, train=2, test=2).reused
    assert make_sines(tmp_path, train=2, test=2).reused
    (tmp_path / "corpus.toml").write_bytes(b"\xff")
    with pytest.raises(UserError, match="corpus.toml, line 1: byte 0xff is not UTF-8"):
        make_sines(tmp_path, train=2, test=2)


def test_two_do_not_make_it_at_once(tmp_path: Path) -> None:
    with exclusive(tmp_path, "Wait"), pytest.raises(UserError, match="is in use by process"):
        make_sines(tmp_path, train=2, test=2)


def test_a_disk_that_libsndfile_finds_full_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise soundfile.LibsndfileError(2, prefix="Error opening 'a.wav': ")

    monkeypatch.setattr(soundfile, "write", full)
    with pytest.raises(UserError, match=r"cannot write .* It needs some \d+ MB: make room"):
        make_sines(tmp_path / "new", train=2, test=2)


@pytest.mark.parametrize("train", [10**9, 10**30])
def test_what_no_disk_holds_is_refused_before_it_is_begun(tmp_path: Path, train: int) -> None:
    with pytest.raises(UserError, match=r"the sines would take some .* MB, and .* MB are free"):
        make_sines(tmp_path / "new", train=train, test=2)
