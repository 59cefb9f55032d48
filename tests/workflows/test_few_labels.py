"""The table of recognizers from few labels: nested labels, commands that need each other in order, paired differences."""

from pathlib import Path

import numpy as np
import pytest

from foresay.corpora.manifest import Item, Manifest, write_manifest
from foresay.errors import UserError
from foresay.reports.wording import MINUS
from foresay.results import Draws, Result, append_results, save_draws
from foresay.workflows import experiment as experiments
from foresay.workflows.experiment import CER, WER
from foresay.workflows.few_labels import COLUMNS, EncoderChoice, FewLabels

RATES = {"ours": 0.4, "control": 0.9}
CHANGES = {("greedy", CER): 0.1, ("greedy", WER): 0.0, ("ngram", WER): -0.2, ("transformer", WER): -0.3}


@pytest.fixture
def experiment(tmp_path: Path) -> FewLabels:
    items = [
        Item(
            f"{speaker}-{number}", audio=tmp_path / f"{speaker}-{number}.wav", duration=6.0, sample_rate=16_000, speaker=speaker, text=text
        )
        for speaker in ("a", "b", "c")
        for number, text in enumerate(["one", "", "two", "three", "four"])
    ]
    for split in ("train", "valid", "test"):
        write_manifest(tmp_path / "corpus" / f"{split}.jsonl", items)
    encoders = (EncoderChoice("ours", "runs/acpc"), EncoderChoice("control", "untrained:runs/acpc", ("model.freeze=nothing",)))
    return FewLabels(
        tmp_path / "corpus",
        tmp_path / "made",
        encoders,
        (0.3, 1.0),
        tmp_path / "texts.txt",
        ("ctc-tiny", "ctc-base-1h"),
        ("trainer.steps=5",),
    )


def test_fewer_labels_are_part_of_more_and_of_all_speakers(experiment: FewLabels) -> None:
    few, many = (list(Manifest.open(experiment.labelled(minutes))) for minutes in experiment.minutes)
    assert [item.id for item in few] == ["a-0", "b-0", "c-0"]
    assert [item.id for item in many][:3] == ["a-0", "b-0", "c-0"]
    assert len(many) == 10
    assert all(item.text for item in many)
    with pytest.raises(UserError, match="less than 5 minutes of transcribed speech"):
        experiment.labelled(5.0)


def test_everything_is_made_before_it_is_needed(experiment: FewLabels) -> None:
    made = set[str]()
    for stage in experiment.stages():
        for command in stage.commands:
            needed = [word for word in command.words if word.startswith(str(experiment.parent))]
            outputs = [command.words[command.words.index(option) + 1] for option in ("--run", "--out") if option in command.words]
            assert all(word in made | set(outputs) or word.endswith("min.jsonl") for word in needed)
        for command in stage.commands:
            made |= {command.words[command.words.index(option) + 1] for option in ("--run", "--out") if option in command.words}
    assert {str(run) for run in experiment.runs.values()} < made
    finetuned = [command.words for stage in experiment.stages() for command in stage.commands if command.words[0] == "finetune"]
    assert [words[1] for words in finetuned] == ["ctc-tiny", "ctc-base-1h"] * 2
    assert all("trainer.steps=5" in words for words in finetuned)
    assert all('model.symbols=["<blank>", "|", "e", "f", "h", "n", "o", "r", "t", "u", "w"]' in words for words in finetuned)
    assert [("model.freeze=nothing" in words) for words in finetuned] == [False, False, True, True]
    measured = [command.words for command in experiment.stages()[-1].commands]  # frequencies of words are those of what it learnt from
    assert [Path(words[words.index("--train-corpus") + 1]).stem for words in measured] == ["train-0.3min", "train-1min"] * 2


def test_what_is_done_is_not_done_again(experiment: FewLabels, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[list[tuple[str, ...]]] = []
    monkeypatch.setattr(experiments, "side_by_side", done.append)
    experiment.ngram.mkdir(parents=True)
    for run in experiment.runs.values():
        run.mkdir(parents=True)
        (run / "ngram.toml").touch()
        (run / "transformer.toml").touch()
    experiment.do()
    assert [sorted({words[0] for words in stage}) for stage in done] == [["train"], ["finetune"], ["evaluate"]]


def measured(experiment: FewLabels) -> None:
    """Keep results of which every draw is known."""
    noise = np.linspace(-0.05, 0.05, 1000)
    names = tuple("abcdef")
    for (name, minutes), run in experiment.runs.items():
        rows = []
        for (protocol, metric), change in CHANGES.items():
            value = RATES[name] + change - 0.01 * minutes
            draws = Draws("utterances", names, 0, value + noise)
            about = {"model": run.name, "layer": "emissions", "corpus": "test", "split": "test", "step": 5, "seed": 0, "seconds": 0.0}
            about["details"] = {"fingerprint": f"{protocol} {minutes}"}
            interval = {"low": value - 0.05, "high": value + 0.05, "draws": draws, "drawn": draws.drawn, "unit": "%", "direction": "lower"}
            rows.append(Result(measure="wer", protocol=protocol, metric=metric, value=value, **about, **interval))
        append_results(run / "results.jsonl", rows)
        save_draws(run, rows)


def test_differences_are_of_equal_draws(experiment: FewLabels) -> None:
    measured(experiment)
    head, *rows = experiment.table("test")
    assert head == ["minutes", "encoder", *COLUMNS.values()]
    table = {(row[0], row[1]): row[2:] for row in rows}
    assert table["0.3", "ours"][1] == "39.7 [34.7, 44.7]"
    assert table["1", "ours - control"] == [_same(-50)] * 4  # the noise is the same on both sides
    assert table["1", "ours, by language models"] == ["", "", _same(-20), _same(-30)]


def _same(points: int) -> str:
    """Write a difference that is the same in every draw."""
    value = f"{points:.1f}".replace("-", MINUS)
    return f"{value} [{value}, {value}]"
