"""What a run remembers of its corpus, and what it touches when."""

import shutil
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from foresay.corpora.manifest import Manifest, write_manifest
from foresay.errors import UserError
from foresay.runs import Run
from foresay.workflows.pretrain import pretrain
from foresay.workflows.rehearsal import rehearse
from reference.two_processes import SMALL, write_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


def test_a_run_says_what_it_was_trained_and_validated_on(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(corpus.parent)
    run = Run(tmp_path / "run")
    pretrain("cpc", "manifest.jsonl", run.folder, valid=corpus, overrides=(*SMALL, "trainer.steps=1"))
    whole = {"recordings": 20, "hours": pytest.approx(20 / 3600, abs=1e-6), "digest": Manifest.open(corpus).digest}
    expected = {"train": {"manifest": "manifest.jsonl", **whole}, "valid": {"manifest": str(corpus), **whole}}
    assert tomllib.loads(run.data.read_text()) == expected
    pretrain("cpc", "manifest.jsonl", run.folder, overrides=(*SMALL, "trainer.steps=2"))
    assert tomllib.loads(run.data.read_text()) == expected


def test_a_run_begun_on_another_corpus_is_refused(corpus: Path, tmp_path: Path) -> None:
    run, fewer = tmp_path / "run", tmp_path / "fewer.jsonl"
    write_manifest(fewer, list(Manifest.open(corpus))[:16])
    pretrain("cpc", corpus, run, valid=corpus, overrides=(*SMALL, "trainer.steps=1"))
    with pytest.raises(UserError, match=r"begun on another corpus \(.*manifest.jsonl: 20 recordings.*fewer.jsonl: 16 recordings"):
        pretrain("cpc", fewer, run, overrides=(*SMALL, "trainer.steps=2"))
    other, moved = tmp_path / "other.jsonl", tmp_path / "moved.jsonl"
    items = list(Manifest.open(corpus))
    write_manifest(other, [items[1], items[0], *items[2:]])  # as many and as long
    for train, valid in ((other, corpus), (corpus, other)):
        with pytest.raises(UserError, match=r"begun on another corpus \(.*20 recordings.*other.jsonl: 20 recordings.*but other ids"):
            pretrain("cpc", train, run, valid=valid, overrides=(*SMALL, "trainer.steps=2"))
    (tmp_path / "audio").mkdir()
    there = [tmp_path / "audio" / f"{item.id}.wav" for item in items]
    write_manifest(moved, [replace(item, audio=Path(shutil.copy(str(item.audio), path))) for item, path in zip(items, there, strict=True)])
    assert pretrain("cpc", moved, run, overrides=(*SMALL, "trainer.steps=2")).step == 2
    assert tomllib.loads((run / "data.toml").read_text())["train"]["manifest"] == str(moved)
    (run / "data.toml").unlink()  # a run of an older version
    assert pretrain("cpc", fewer, run, overrides=(*SMALL, "trainer.steps=3")).step == 3


def test_a_new_run_may_write_to_a_board(corpus: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    pretrain("cpc", corpus, tmp_path / "run", overrides=(*SMALL, "trainer.steps=1", "trainer.log_every=1", "trainer.tensorboard=true"))
    assert list((tmp_path / "run" / "tensorboard").iterdir())


def test_a_rehearsal_opens_the_corpus_once_and_keeps_nothing(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, plain = [], Manifest.open
    monkeypatch.setattr(Manifest, "open", lambda path: opened.append(path) or plain(path))
    found = rehearse("pretrain", "cpc", corpus, tmp_path / "run", overrides=(*SMALL, "trainer.tensorboard=true"))
    assert found.updates == 9
    assert opened == [corpus]
    assert not (tmp_path / "run").exists()


def test_an_effect_on_what_is_not_predicted_is_refused(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.augment_future changes what is predicted, and hubert"):
        pretrain("hubert-tiny", corpus, tmp_path / "run", overrides=("data.augment_future=['reverb']",))
