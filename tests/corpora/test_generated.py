"""Corpora that are made: whole whenever the process is killed, by one process, and what a kill left is nothing."""

import os
import shutil
from pathlib import Path

import pytest
import soundfile

from foresay.cli import main
from foresay.corpora.generated import find_maker, list_makers
from foresay.corpora.made.bars import BarsWithSines
from foresay.corpora.made.demo import EmbeddedCorpus
from foresay.corpora.made.digit_pairs import DigitPairs
from foresay.corpora.made.sines import Sines
from foresay.corpora.made.superb import MiniatureSuperb
from foresay.errors import UserError
from foresay.locks import exclusive
from reference.interruptions import contents, kill, operations


@pytest.fixture(autouse=True)
def memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that need not be waited for."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


def test_the_file_name_is_the_registry() -> None:
    makers = {"bars": BarsWithSines, "demo": EmbeddedCorpus, "digit-pairs": DigitPairs, "sines": Sines, "superb": MiniatureSuperb}
    assert {name: find_maker(name) for name in makers} == makers
    assert makers.keys() <= list_makers().keys()
    assert all(list_makers().values())


def test_another_name() -> None:
    with pytest.raises(UserError, match=r"there is no corpus 'sinse' that can be made: did you mean \"sines\"\? .*Those that you have"):
        find_maker("sinse")
    with pytest.raises(UserError, match="there is no corpus 'sentences'"):
        find_maker("sentences")


def test_a_maker_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "workshop").mkdir()
    (tmp_path / "workshop" / "silence.py").write_text("""
from dataclasses import dataclass
import numpy as np
import soundfile
from foresay.corpora.generated import Maker, make_once
from foresay.corpora.manifest import Item

@dataclass(frozen=True)
class Silence(Maker):
    clips: int = 1

    def make(self, destination):
        return make_once(destination, "silence", {"name": "silence", "clips": self.clips}, ("train",), lambda: self.record(destination),
                         megabytes=1)

    def record(self, folder):
        (folder / "audio").mkdir()
        soundfile.write(folder / "audio" / "a.wav", np.zeros(16_000), 16_000)
        return {"train": [Item(str(n), folder / "audio" / "a.wav", duration=1.0, sample_rate=16_000) for n in range(self.clips)]}
""")
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["corpus", "make", "workshop.silence", str(tmp_path / "corpus"), "--clips", "3"]) == 0
    assert "3 items" in capsys.readouterr().out


def test_killed_anywhere_the_same_command_makes_the_same_corpus(tmp_path: Path) -> None:
    def make(folder: Path) -> None:
        Sines(train=4, test=2).make(folder)

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


def test_what_a_kill_left_is_nothing_and_damage_is_reported(tmp_path: Path) -> None:
    (tmp_path / ".unfinished-corpus.toml").touch()
    assert not Sines(train=2, test=2).make(tmp_path).reused
    assert Sines(train=2, test=2).make(tmp_path).reused
    (tmp_path / "corpus.toml").write_bytes(b"\xff")
    with pytest.raises(UserError, match="corpus.toml, line 1: byte 0xff is not UTF-8"):
        Sines(train=2, test=2).make(tmp_path)


def test_two_do_not_make_it_at_once(tmp_path: Path) -> None:
    with exclusive(tmp_path, "Wait"), pytest.raises(UserError, match="is in use by process"):
        Sines(train=2, test=2).make(tmp_path)


def test_a_disk_that_libsndfile_finds_full_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise soundfile.LibsndfileError(2, prefix="Error opening 'a.wav': ")

    monkeypatch.setattr(soundfile, "write", full)
    with pytest.raises(UserError, match=r"cannot write .* It needs some \d+ MB: make room"):
        Sines(train=2, test=2).make(tmp_path / "new")


@pytest.mark.parametrize("train", [10**9, 10**30])
def test_what_no_disk_holds_is_refused_before_it_is_begun(tmp_path: Path, train: int) -> None:
    with pytest.raises(UserError, match=r"the sines would take some .* MB, and .* MB are free"):
        Sines(train=train, test=2).make(tmp_path / "new")
