"""The main job learns phones: on the embedded corpus, both models beat their untrained copies by far more than chance."""

from pathlib import Path

import pytest

import foresay
from foresay.corpora.manifest import Item, Manifest, write_manifest
from foresay.workflows.demos.recognition import SIZES, updates
from foresay.workflows.demos.spoken_lm import SCALES, SpokenParts

pytest.importorskip("espeakng_loader")


def test_a_corpus_of_one_s_own_must_be_whole_and_of_a_demonstration_that_takes_one(tmp_path: Path) -> None:
    (tmp_path / "valid.jsonl").touch()
    with pytest.raises(foresay.UserError, match=r"lacks train\.jsonl, test\.jsonl, texts\.txt: it takes transcribed speech"):
        foresay.demo(tmp_path / "runs", name="recognition", corpus=tmp_path)
    with pytest.raises(foresay.UserError, match=r"makes its own corpus; .* foresay reproduce acpc"):
        foresay.demo(tmp_path / "runs", corpus=tmp_path)
    with pytest.raises(foresay.UserError, match=r"no demonstration 'recogniton': did you mean .recognition"):
        foresay.demo(tmp_path / "runs", name="recogniton")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("minutes, expected", [(12, 800), (30.4, 800), (45, 1200), (90, 2400), (6000, 2400)])
def test_more_speech_is_worth_more_updates_up_to_three_times(minutes: float, expected: int, tmp_path: Path) -> None:
    speech = [Item(str(n), audio=tmp_path / "a.wav", duration=20 * minutes, sample_rate=8000) for n in range(3)]
    write_manifest(tmp_path / "speech.jsonl", speech)
    assert updates(SIZES["full"], tmp_path / "speech.jsonl") == expected


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_recognizer_on_a_pretrained_encoder_writes_better_than_one_from_scratch_and_a_language_model_helps(tmp_path: Path) -> None:
    done = foresay.demo(tmp_path, "tiny", "recognition")
    differences = {(row[0], row[1]): row[2:] for row in done.table}
    characters = differences["5", "pretrained - scratch"][0]
    words = differences["5", "pretrained, by language models"][2]
    for text in (characters, words):
        assert all(number.startswith("\N{MINUS SIGN}") for number in text.replace("[", "").replace("]", "").replace(",", "").split())


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_hidden_markov_models_learn_where_networks_have_hardly_begun(tmp_path: Path) -> None:
    done = foresay.demo(tmp_path, "tiny", "recognizers")
    head, *rows = done.table
    found = {row[1]: dict(zip(head, row, strict=True)) for row in rows}
    assert list(found)[:6] == ["ctc", "attention", "transducer", "hmm", "other-texts", "even words"]
    for column in ("WER, n-gram", "boundaries, ms"):
        assert found["hmm - other-texts"][column].count("\N{MINUS SIGN}") == 3, column
    assert int(found["hmm"]["parameters"].replace(",", "")) > 30_000
    page = done.report.read_text(encoding="utf-8")
    assert page.count("Where hmm-5min finds the text of") == 3


def test_no_recording_of_the_vocoder_is_one_of_its_judges(tmp_path: Path) -> None:
    for split, count in (("train", 7), ("valid", 5), ("test", 1)):
        speech = [Item(f"{split}-{n}", audio=tmp_path / "a.wav", duration=3.0, sample_rate=8000, speaker=f"s{n % 3}") for n in range(count)]
        write_manifest(tmp_path / f"{split}.jsonl", speech)
    spoken = SpokenParts(tmp_path, tmp_path, SCALES["tiny"], tmp_path / "texts.txt")
    words = [command.words for stage in spoken.stages() for command in stage.commands]
    given = {(one[0], one[1]): Manifest.open(one[one.index("--corpus") + 1]).ids for one in words if one[0] in {"train", "finetune"}}
    vocoder, judge = set(given["train", "unit-vocoder-tiny"]), set(given["finetune", "hmm-tiny"])
    assert (len(vocoder), len(judge), vocoder & judge) == (4, 3, set())
    assert vocoder | judge == set(given["train", "unit-lm-tiny"])
    (prompts,) = (one[1] for one in words if one[0] == "continue")
    assert list(Manifest.open(prompts).ids) == ["valid-0", "valid-1", "valid-2"]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_speech_is_resynthesized_from_units_that_say_something(tmp_path: Path) -> None:
    done = foresay.demo(tmp_path, "tiny", "spoken-lm")
    found = {(row.measure, row.metric, row.layer): row for row in done.results}
    distance = "mel-cepstral distortion"
    spoken, shuffled, mean = (found["resynthesis", distance, row] for row in ("resynthesized", "units shuffled", "mean frame"))
    assert spoken.high is not None
    assert mean.low is not None
    assert shuffled.low is not None
    assert spoken.high < mean.low
    assert spoken.value < shuffled.low
    assert done.report.read_text(encoding="utf-8").count("<audio") > 20  # of prompts at four temperatures, of utterances in seven ways


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_three_hundred_updates_beat_the_untrained_copy(tmp_path: Path) -> None:
    corpus = foresay.make_corpus(tmp_path / "corpus").manifests
    runs = [tmp_path / "demo-cpc", tmp_path / "demo-acpc"]
    for run in runs:
        foresay.pretrain(run.name, corpus["train"], run, overrides=["trainer.steps=300"])
    results = foresay.evaluate(runs, corpus["test"], corpus["train"], measures=["probe:converged"])
    gains = {(r.model, r.layer): r for r in results if r.metric == "gain over untrained"}
    for run in runs:
        gain = max((gains[run.name, layer] for layer in ("z", "c")), key=lambda r: r.value)
        assert gain.value >= 0.05
        assert gain.low is not None
        assert gain.low > 0


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_demo_is_done_once_and_its_model_loads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = foresay.demo(tmp_path, scale="tiny")
    printed = capsys.readouterr().err.splitlines()
    assert [line.partition(" ")[0] for line in printed if line.endswith("…")] == ["1/5", "2/5", "3/5", "4/5", "5/5"]
    assert foresay.load(tmp_path / "demo-acpc").layer_names == ("z", "c")
    assert done.report.stat().st_size > 100_000
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    again = foresay.demo(tmp_path, scale="tiny")
    assert again.results == done.results
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")} == before
