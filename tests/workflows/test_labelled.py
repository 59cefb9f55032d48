"""A fine-tuning says what it leaves out of its transcripts and which utterances, and lists them."""

import json
from pathlib import Path

import pytest

from foresay.errors import UserError
from foresay.workflows.train import run_recipe
from reference.tones import write_tones

RECIPE = """[model]
name = "ctc"
freeze_updates = 0
outside = "drop"
normalization = "en"
[data]
sampler = "transcripts"
seconds = 12
shortest = 0.3
[optimizer]
lr = 1e-3
[trainer]
steps = 2
log_every = 1
[parts]
encoder = "logmel"
"""


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Six utterances, of which the second has more letters than its hundred frames a second hold."""
    path = write_tones(tmp_path / "train.jsonl", 6)
    header, *lines = path.read_text().splitlines()
    items = [json.loads(line) for line in (header, *lines)]
    named = [item for item in items if "text" in item]
    named[0]["text"] += " 77 é, %"
    named[1]["text"] = "aabb" * 50
    path.write_text("".join(json.dumps(item) + "\n" for item in items))
    return path


def messages(run: Path) -> list[str]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line["message"] for line in lines if line["kind"] == "event"]


def test_what_is_left_out_is_said_once_and_listed(corpus: Path, tmp_path: Path) -> None:
    recipe, run = tmp_path / "recipe.toml", tmp_path / "run"
    recipe.write_text(RECIPE)
    run_recipe("finetune", recipe, corpus, run, valid=corpus)
    said = messages(run)
    dropped = "the normalization leaves out of the transcripts '7' (2), 'é' (1), ',' (1), '%' (1)"
    assert [one for one in said if "normalization" in one] == [f"train: {dropped}", f"valid: {dropped}"]
    assert said.count("1 of 6 recordings have fewer frames than symbols") == 1
    assert said.count("left-out.txt in the run's folder lists the 2 with fewer frames than symbols") == 1
    listed = [line.split("\t") for line in (run / "left-out.txt").read_text().splitlines()]
    assert [(purpose, name) for purpose, name, _ in listed] == [("train", "train-1"), ("valid", "train-1")]
    frames, needed = (int(word) for word in listed[0][2].split(" frames for "))
    assert needed == 300 > frames  # 200 letters, and a blank between the two of each pair
    windows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert all(line["infeasible"] == 0 for line in windows if line["kind"] == "train")
    run_recipe("finetune", recipe, corpus, run, valid=corpus, overrides=["trainer.steps=3"])
    assert sum("normalization" in one for one in messages(run)) == 2


def test_where_nothing_is_left_that_is_an_error(corpus: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE)
    lines = [json.loads(line) for line in corpus.read_text().splitlines()]
    corpus.write_text("".join(json.dumps(line | ({"text": "ab" * 200} if "text" in line else {})) + "\n" for line in lines))
    with pytest.raises(UserError, match=r"nothing to learn from: 6 of 6 recordings have fewer frames than symbols$"):
        run_recipe("finetune", recipe, corpus, tmp_path / "run")
