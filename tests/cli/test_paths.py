"""Paths that cannot be: a file where a folder is needed, links that lead nowhere, names too long. In every verb: one message, exit 2."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from foresay.cli import main
from reference.tiny_run import write_run
from reference.two_processes import write_corpus

SMALL = ("--set", "model.channels=8", "--set", "trainer.steps=1")
VERBS: dict[str, tuple[str, ...]] = {
    "pretrain": ("cpc", "--corpus", "corpus/manifest.jsonl", "--run", "{}"),
    "pretrain valid": ("cpc", "--corpus", "corpus/manifest.jsonl", "--valid", "{}", "--run", "new"),
    "pretrain corpus": ("cpc", "--corpus", "{}", "--run", "new"),
    "pretrain recipe": ("{}", "--corpus", "corpus/manifest.jsonl", "--run", "new"),
    "corpus import": ("folder", "corpus", "{}"),
    "corpus make": ("sines", "{}", "--train", "2", "--test", "2"),
    "corpus pack": ("corpus/manifest.jsonl", "{}"),
    "corpus check": ("{}",),
    "corpus stats": ("{}",),
    "extract": ("mfcc", "corpus/s0-0.wav", "{}", "--layer", "mfcc"),
    "extract model": ("{}", "corpus", "out", "--layer", "c"),
    "extract source": ("mfcc", "{}", "out", "--layer", "mfcc"),
    "evaluate": ("mfcc", "--corpus", "corpus/manifest.jsonl", "--measures", "geometry:frames", "--out", "{}"),
    "evaluate model": ("{}", "--corpus", "corpus/manifest.jsonl"),
    "report": ("run", "--out", "{}"),
    "report run": ("{}",),
    "export": ("run", "{}", "--to", "huggingface"),
    "export model": ("{}", "out", "--to", "torch"),
}


def file(path: Path) -> Path:
    path.write_text("something\n")
    return path


def below_a_file(path: Path) -> Path:
    return file(path) / "below"


def dangling(path: Path) -> Path:
    path.symlink_to("nowhere/at/all")
    return path


def loop(path: Path) -> Path:
    path.symlink_to(path)
    return path


def too_long(path: Path) -> Path:
    return path / ("x" * 300)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    (folder / "corpus").mkdir()
    write_corpus(folder / "corpus")
    write_run(folder / "run")
    return folder


@pytest.mark.parametrize("make", [file, below_a_file, dangling, loop, too_long])
@pytest.mark.parametrize("verb", VERBS)
def test_one_message_and_exit_2(
    world: Path, verb: str, make: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(world)
    if make is file and verb in {"report", "extract source"}:
        pytest.skip("a file may stand there")
    bad = make(world / f"{make.__name__}-{verb.replace(' ', '-')}")
    name = verb if verb.startswith("corpus") else verb.partition(" ")[0]
    if verb == "report" and make in {dangling, loop}:
        pytest.skip("the page takes the place of the link")
    code = main([*name.split(), *(word.format(bad.name if make is not below_a_file else bad) for word in VERBS[verb])])
    out, err = capsys.readouterr()
    assert code == 2, err
    assert "Traceback" not in err
    assert err.startswith("foresay: ") or "left out: " in out


@pytest.mark.parametrize("verb", ["pretrain valid", "pretrain corpus", "pretrain recipe", "corpus check", "corpus stats"])
def test_a_folder_is_no_file(world: Path, verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(world)
    name = verb if verb.startswith("corpus") else verb.partition(" ")[0]
    assert main([*name.split(), *(word.format("corpus") for word in VERBS[verb])]) == 2
    assert "corpus" in capsys.readouterr().err


def test_where_a_renaming_goes_is_a_path_of_the_user(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fails(_words: list[str]) -> int:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), "/elsewhere/.unfinished-page", None, "/where/page")

    monkeypatch.setattr("foresay.cli._dispatch", fails)
    assert main(["report", "run", "--out", "/where/page"]) == 2
    assert "/where/page: this is a folder, and a file is needed" in capsys.readouterr().err


def test_an_error_about_another_path_is_ours(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fails(_words: list[str]) -> int:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "/where/only/we/look")

    monkeypatch.setattr("foresay.cli._dispatch", fails)
    assert main(["report", "runs/x"]) == 1
    assert "Traceback" in capsys.readouterr().err
    assert main(["report", "/where/only"]) == 2
