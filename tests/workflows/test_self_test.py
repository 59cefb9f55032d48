"""A self-test of fine-tuning: one batch is learnt by heart, or it is said how far it came; nothing is kept."""

import math
from collections import Counter
from pathlib import Path

import pytest

from foresay.cli import main
from foresay.corpora.manifest import Manifest
from foresay.errors import UserError
from foresay.workflows.self_test import SelfTest, check_learning
from reference.tones import RECIPE, write_tones


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tones")
    (folder / "recipe.toml").write_text(RECIPE)
    return write_tones(folder / "train.jsonl", 3)


@pytest.fixture(scope="module")
def found(corpus: Path) -> SelfTest:
    run = corpus.with_name("run")
    learnt = check_learning(corpus.with_name("recipe.toml"), corpus, run, overrides=["model.units=phones"])
    assert not run.exists()
    return learnt


def test_one_batch_is_learnt_by_heart(corpus: Path, found: SelfTest) -> None:
    letters = Counter("".join(item.text or "" for item in Manifest.open(corpus)).replace(" ", ""))
    entropy = -sum(count / letters.total() * math.log(count / letters.total()) for count in letters.values())
    assert (found.utterances, found.symbols) == (3, letters.total())  # all of them are one batch here
    assert found.entropy == pytest.approx(entropy, rel=1e-5)
    assert found.losses[0] > entropy > 0.6 > found.losses[1]
    assert found.wrong <= 0.02
    assert found.updates % 25 == 0


def test_the_command_says_so(corpus: Path, found: SelfTest, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foresay.cli._training.check_learning", lambda *_, **__: found)
    assert main(["finetune", "ctc-tiny", "--corpus", str(corpus), "--run", "runs/x", "--check"]) == 0
    assert f"3 utterances, {found.symbols} symbols, learnt by heart in {found.updates} updates" in capsys.readouterr().out


def test_what_is_not_learnt_is_said_with_the_numbers(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = corpus.with_name("recipe.toml")
    with pytest.raises(UserError, match=r" 3 updates: [123]?\d?\d% of their .*more, costs 1\.\d\d.*model.freeze") as refused:
        check_learning(recipe, corpus, tmp_path, overrides=["optimizer.lr=1e-9"], updates=3)
    assert str(refused.value).startswith("3 utterances were not learnt by heart")
    monkeypatch.setattr("foresay.workflows.self_test.SECONDS", 2.0)  # of a long batch, so many
    with pytest.raises(UserError, match="^1 utterances"):
        check_learning(recipe, corpus, tmp_path, overrides=["optimizer.lr=1e-9"], updates=1)
    with pytest.raises(UserError, match="use `foresay pretrain acpc"):
        check_learning("acpc", corpus, tmp_path)
