"""Forced alignment finds the words where they were spoken: on the embedded corpus's voice, whose times are known."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from foresay.cli import main
from foresay.corpora.forced_alignment import Aligner, spoken_words
from foresay.corpora.made.demo import EmbeddedCorpus
from foresay.corpora.manifest import Interval, Item, Manifest, write_manifest
from foresay.errors import UserError
from foresay.workflows.align import align_corpus
from reference.levels import write_corpus

pytest.importorskip("pocketsphinx")
pytest.importorskip("espeakng_loader")


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spoken") / "corpus"
    EmbeddedCorpus(minutes=1.0, voices=4).make(folder)
    lines = (folder / "manifest.jsonl").read_text().splitlines()
    header = [line for line in lines if '"id"' not in line]
    path = folder / "few.jsonl"
    path.write_text("\n".join([*header, *[line for line in lines if '"id"' in line][:6]]) + "\n")
    return path


def _middles(words: tuple[Interval, ...]) -> np.ndarray:
    return np.array([(word.start + word.end) / 2 for word in words])


def test_words_are_found_where_they_were_spoken(spoken: Path, tmp_path: Path) -> None:
    done = align_corpus(spoken, tmp_path / "aligned.jsonl", workers=1)
    assert done.aligned + len(done.left) == 6
    assert done.aligned >= 2
    known, found = Manifest.open(spoken), Manifest.open(tmp_path / "aligned.jsonl")
    assert found.phone_set == "cmudict39"
    for item, aligned in zip(known, found, strict=True):
        if not aligned.words:
            assert aligned.id in done.left
            continue
        assert [word.label for word in aligned.words] == spoken_words(item.text or "")
        if len(aligned.words) == len(item.words or ()):
            assert np.median(np.abs(_middles(aligned.words) - _middles(item.words or ()))) < 0.08
        assert aligned.phones
        edges = [edge for phone in aligned.phones for edge in (phone.start, phone.end)]
        assert edges == sorted(edges)
        assert edges[-1] <= item.duration + 1e-6


def test_what_cannot_be_aligned_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = write_corpus(tmp_path / "noise.jsonl", 2)
    text = manifest.path.read_text()
    texts = [json.loads(line)["text"] for line in text.splitlines() if '"text"' in line]
    manifest.path.write_text(text.replace(texts[0], "hello qwertyuiop").replace(texts[1], "!"))
    assert main(["corpus", "align", str(manifest.path), str(tmp_path / "aligned.jsonl"), "--workers", "1"]) == 0
    said = capsys.readouterr().out
    assert "0 items have times now, 2 have none" in said
    assert "qwertyuiop (1)" in said
    assert f"all of them, and why: {tmp_path / 'aligned.skipped.tsv'}" in said
    assert len((tmp_path / "aligned.skipped.tsv").read_text().splitlines()) == 2
    assert Manifest.open(tmp_path / "aligned.jsonl")[0].phones is None
    with pytest.raises(UserError, match="written over"):
        align_corpus(manifest.path, manifest.path)


def test_a_word_that_nobody_can_pronounce_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_installed(*_: object) -> None:
        msg = "the extra is not installed"
        raise UserError(msg)

    monkeypatch.setattr("foresay.corpora.forced_alignment.pronounce", not_installed)
    aligner = Aligner()
    assert aligner.align(np.zeros(8000, dtype=np.float32), "hello helstone") == "not in the dictionary: helstone"
    assert aligner.missing == {"helstone": 1}


def test_silence_does_not_fit_a_text() -> None:
    found = Aligner().align(np.zeros(8000, dtype=np.float32), "this is a very long sentence that nobody can say in half a second")
    assert isinstance(found, str)
    assert "does not fit" in found


@pytest.mark.parametrize("place", ["folder", "file/below.jsonl"])
def test_where_nothing_can_be_written_nobody_works(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    write_manifest(tmp_path / "in.jsonl", [Item("a", audio=tmp_path / "a.wav", duration=1.0, sample_rate=16_000, text="hello")])

    class Idle(ThreadPoolExecutor):
        def __init__(self, *_: object, **__: object) -> None:
            super().__init__(1)

        def map(self, *_: object, **__: object) -> NoReturn:  # type: ignore[override]
            pytest.fail("somebody works")

    monkeypatch.setattr("foresay.workflows.align.ProcessPoolExecutor", Idle)
    with pytest.raises((UserError, OSError), match=rf"is a folder|{errno.ENOTDIR}|{errno.EEXIST}"):
        align_corpus(tmp_path / "in.jsonl", tmp_path / place)


def test_processes_that_align_leave_interrupts_to_the_one_that_began_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_manifest(tmp_path / "in.jsonl", [Item("a", audio=tmp_path / "a.wav", duration=1.0, sample_rate=16_000, text="hello")])
    before = signal.getsignal(signal.SIGINT)
    ended: list[object] = []

    class Interrupted(ThreadPoolExecutor):
        def __init__(self, *_: object, **__: object) -> None:
            super().__init__(1)

        def map(self, *_: object, **__: object) -> Iterator[object]:  # type: ignore[override]
            assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
            return map(self.interrupt, [0])

        def interrupt(self, _index: int) -> NoReturn:
            assert signal.getsignal(signal.SIGINT) == before
            raise KeyboardInterrupt

        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - the executor's
            ended.append((wait, cancel_futures))

    monkeypatch.setattr("foresay.workflows.align.ProcessPoolExecutor", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        align_corpus(tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    assert ended[0] == (False, True)
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


@pytest.mark.slow
def test_an_interrupted_alignment_says_so_once(spoken: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "foresay", "corpus", "align", str(spoken), str(tmp_path / "out.jsonl")]
    for seconds in (1.0, 1.5, 2.0, 2.5):
        with subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, start_new_session=True) as process:
            time.sleep(seconds)
            os.killpg(process.pid, signal.SIGINT)
            _, printed = process.communicate(timeout=60)
        if process.returncode == 0:
            break  # it had ended
        assert "Traceback" not in printed
        assert printed.splitlines()[-1] == "foresay: interrupted"
        assert not list(tmp_path.iterdir())
