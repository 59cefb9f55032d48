"""Tuning, from names to a file: it describes the search that was tuned, each recognizer has its own, and no test set is tuned on."""

import dataclasses
import json
import re
import shutil
import tomllib
from pathlib import Path

import pytest
import soundfile

from foresay.cli import main
from foresay.corpora.manifest import Manifest
from foresay.decoding.rescoring import language_scores
from foresay.decoding.tuning import tune
from foresay.encoding.kept_emissions import KeptEmissions
from foresay.encoding.search_files import SearchFile, choose
from foresay.encoding.searches import Decoder
from foresay.encoding.transcripts import encoded_of
from foresay.errors import UserError
from foresay.loading import load, load_language_model
from foresay.statistics.edit_distance import edit_distance
from foresay.workflows.evaluate import evaluate
from foresay.workflows.language_models import train_ngram
from foresay.workflows.train import run_recipe
from foresay.workflows.transcribe import load_recognizer, transcribe
from foresay.workflows.tune import tune_weights
from reference.tones import write_tones

RECIPE = """\
[model]
name = "ctc"
units = "phones"
freeze_updates = 0
mask_probability = 0.0
channel_probability = 0.0
[data]
sampler = "transcripts"
seconds = 12
shortest = 0.3
[optimizer]
lr = 0.03
[trainer]
steps = 40
[parts]
encoder = "logmel"
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recognizer that is not good yet, language models of its symbols, and what it was tuned for."""
    folder = tmp_path_factory.mktemp("tuning")
    (folder / "recipe.toml").write_text(RECIPE)
    for number, (name, count) in enumerate({"train": 8, "dev": 6, "test": 6, "more": 60}.items()):
        write_tones(folder / f"{name}.jsonl", count, seed=number)
    run_recipe("finetune", folder / "recipe.toml", folder / "train.jsonl", folder / "run")
    train_ngram([folder / "more.jsonl"], folder / "3gram.arpa", order=3)
    train_ngram([folder / "more.jsonl"], folder / "2gram.arpa", order=2)
    tune_weights(folder / "run", folder / "dev.jsonl", folder / "3gram.arpa", folder / "tuned" / "ngram.toml", beam=8)
    return folder


def test_the_file_is_the_search_that_was_tuned(world: Path) -> None:
    table = tomllib.loads((world / "tuned" / "ngram.toml").read_text())
    assert table["search"].keys() == {"lm", "lm_weight", "word_weight", "beam"}
    assert table["search"]["lm"] == "../3gram.arpa"
    assert (world / "tuned" / "ngram.svg").read_text().startswith("<?xml")
    file = SearchFile.read(world / "tuned" / "ngram.toml")
    assert file.tuning is not None
    assert file.tuning.corpus.endswith("/dev")
    said = {one.id: one.text for one in transcribe(world / "run", world / "dev.jsonl", file.settings)}
    texts = {item.id: item.text or "" for item in Manifest.open(world / "dev.jsonl")}
    plain = {one.id: one.text for one in transcribe(world / "run", world / "dev.jsonl")}
    assert errors(said, texts) <= errors(plain, texts)
    assert errors(said, texts) / 60 == pytest.approx(file.tuning.error_rate, abs=1e-9)


def errors(found: dict[str, str], texts: dict[str, str]) -> int:
    return sum(edit_distance(texts[name].split(), found[name].split()) for name in texts)


def test_the_rate_is_that_of_the_search_and_not_of_all_that_was_found(
    world: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A narrow beam loses what was found with other weights."""
    found = tune_weights(world / "run", world / "dev.jsonl", world / "3gram.arpa", world / "narrow" / "narrow.toml", beam=1)
    said = {one.id: one.text for one in transcribe(world / "run", world / "dev.jsonl", found.file.settings)}
    texts = {item.id: item.text or "" for item in Manifest.open(world / "dev.jsonl")}
    assert found.file.tuning is not None
    assert found.rate == found.file.tuning.error_rate == pytest.approx(errors(said, texts) / 60, abs=1e-9)
    assert found.best <= found.rate
    assert found.first.rate < found.rate
    command = ["lm", "tune", "run", "--corpus", "dev", "--lm", "lm", "--out", "out"]
    for greedy in (found.rate, found.rate - 0.01):
        monkeypatch.setattr("foresay.cli.lm.tune_weights", lambda *_, **__: dataclasses.replace(found, greedy=greedy))  # noqa: B023 - called at once
        assert main(command) == 0
        assert ("worse than the best path" in capsys.readouterr().out) == (greedy < found.rate)


def test_a_recognizer_of_other_people_is_tuned_too(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing says on how much it was trained."""
    recognizer = load_recognizer(world / "run")
    monkeypatch.setattr("foresay.workflows.tune.load_recognizer", lambda *_: recognizer)
    found = tune_weights("hf:theirs", world / "dev.jsonl", world / "3gram.arpa", world / "theirs" / "ngram.toml", beam=1)
    assert found.file.tuning is not None


@pytest.mark.parametrize("content", ["", "[search]\n", "[tuned]\n"])
def test_a_file_without_a_search_is_no_search(tmp_path: Path, content: str) -> None:
    (tmp_path / "empty.toml").write_text(content)
    with pytest.raises(UserError, match=r"empty\.toml describes no search: its table"):
        SearchFile.read(tmp_path / "empty.toml")


def test_emissions_are_encoded_once(world: Path) -> None:
    recognizer, manifest, path = load_recognizer(world / "run"), Manifest.open(world / "dev.jsonl"), world / "tuned" / "ngram.emissions"
    kept = KeptEmissions.find(recognizer, manifest, "cpu", path)
    assert kept.known
    fresh = [encoded.frames[0] for _, encoded in encoded_of(recognizer, manifest, "cpu")]
    for places, batch in kept.batches(8, "cpu"):
        for place, scores, length in zip(places, *batch, strict=True):
            assert scores[:length].equal(fresh[place])
    with (world / "cut.emissions").open("wb") as file:
        file.write(path.read_bytes()[:1000])
    assert not KeptEmissions.find(recognizer, manifest, "cpu", world / "cut.emissions").known
    assert KeptEmissions.find(recognizer, manifest, "cpu", world / "cut.emissions").known
    assert not KeptEmissions.find(recognizer, Manifest.open(world / "test.jsonl"), "cpu", world / "cut.emissions").known


def test_a_second_model_is_tuned_beside_the_first(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["lm", "tune", str(world / "run"), "--corpus", str(world / "dev.jsonl"), "--lm", str(world / "2gram.arpa"), "--beam", "4"]
    assert main([*command, "--rescore", str(world / "3gram.arpa"), "--out", str(world / "tuned" / "both.toml")]) == 0
    out = capsys.readouterr().out
    assert "best path" in out
    assert "points (*) are within one standard error" in out
    assert "their centre: --rescore-weight" in out
    settings = SearchFile.read(world / "tuned" / "both.toml").settings
    first = Decoder(
        load_recognizer(world / "run"), dataclasses.replace(settings, rescore=None, rescore_weight=None, rescore_word_weight=None)
    )
    found = [first(encoded, 4)[0] for _, encoded in encoded_of(first.recognizer, Manifest.open(world / "dev.jsonl"), "cpu")]
    second = language_scores(found, load_language_model(world / "3gram.arpa"))
    tuned = tune(found, [item.text or "" for item in Manifest.open(world / "dev.jsonl")], second=second)
    assert settings.rescore_weight == pytest.approx(tuned.weights.language, abs=1e-2)
    assert settings.rescore_word_weight == pytest.approx(tuned.weights.words, abs=1e-2)
    assert (world / "tuned" / "both-rescore.svg").is_file()
    assert main([*command, "--out", str(world / "tuned" / "both.toml")]) == 2
    assert "is there already" in capsys.readouterr().err


def test_evaluation_finds_what_transcription_finds(world: Path) -> None:
    shutil.copytree(world / "run", world / "copy")
    searches = [world / "tuned" / "ngram.toml"]
    (wer, *_) = evaluate([world / "copy"], world / "test.jsonl", measures=["wer:ngram"], searches=searches, out=world / "out")
    settings = SearchFile.read(searches[0]).settings
    said = {one.id: one.text for one in transcribe(world / "copy", world / "test.jsonl", settings)}
    assert wer.arrays is not None
    kept = {name: hypothesis for name, _, _, hypothesis in json.loads(str(wer.arrays["transcripts"]))}
    assert kept == said
    assert wer.details["search"]["lm"] == "3gram.arpa"
    assert wer.details["search"]["tuned_for"] == "this"
    assert "note" not in wer.details


def test_what_is_not_alike_is_not_compared(world: Path) -> None:
    tuned = [world / "tuned" / "ngram.toml"]
    rows = evaluate([world / "run"], world / "test.jsonl", measures=["wer:ngram"], searches=tuned, out=world / "tuned-as-it-is")
    stamps = {row.data_fingerprint for row in rows}
    text = tuned[0].read_text()
    (world / "tuned" / "wide.toml").write_text(text.replace("beam = 8", "beam = 9"))
    (world / "tuned" / "heavy.toml").write_text(re.sub("word_weight = .*", "word_weight = 1.5", text))
    for name, alike in {"wide": False, "heavy": True}.items():
        (row, *_) = evaluate(
            [world / "run"], world / "test.jsonl", measures=["wer:ngram"], searches=[world / "tuned" / f"{name}.toml"], out=world / name
        )
        assert (row.data_fingerprint in stamps) == alike


def test_emissions_of_other_audio_behind_the_same_lines_are_not_taken_for_these(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world, tmp_path / "world")
    manifest, recognizer = tmp_path / "world" / "dev.jsonl", load_recognizer(world / "run")
    kept = tmp_path / "kept.safetensors"
    found = [KeptEmissions.find(recognizer, Manifest.open(manifest), "cpu", kept).known for _ in range(2)]
    assert found == [False, True]
    for item in Manifest.open(manifest):
        samples, rate = soundfile.read(item.audio)
        soundfile.write(item.audio, samples / 2, rate)
    assert not KeptEmissions.find(recognizer, Manifest.open(manifest), "cpu", kept).known


def test_each_recognizer_has_its_own_search(world: Path) -> None:
    mine = SearchFile.read(world / "tuned" / "ngram.toml")
    hand = SearchFile(mine.settings, None, Path("hand.toml"))
    model = load(world / "run")
    assert choose([hand, mine], model, "mine") is mine
    assert choose([hand], model, "mine") is hand
    with pytest.raises(UserError, match="none or several were tuned for mine"):
        choose([hand, hand], model, "mine")
    assert mine.notes(model, "mine") == []
    model.head.bias.data += 1
    assert "was tuned for another recognizer than mine" in mine.notes(model, "mine")[0]


def test_what_was_tuned_on_is_not_tested_on(world: Path) -> None:
    with pytest.raises(UserError, match="were tuned on .*/dev, so that"):
        evaluate([world / "run"], world / "dev.jsonl", measures=["wer:ngram"], searches=[world / "tuned" / "ngram.toml"], out=world / "no")
    for name, message in {"test": "is a test set by its name", "train": "was trained on"}.items():
        with pytest.raises(UserError, match=message):
            tune_weights(world / "run", world / f"{name}.jsonl", world / "3gram.arpa", world / "no.toml")
    with pytest.raises(UserError, match=r"a new file NAME\.toml"):
        tune_weights(world / "run", world / "dev.jsonl", world / "3gram.arpa", world / "no.txt")
    lines = (world / "dev.jsonl").read_text().replace('"text"', '"label"')
    (world / "silent.jsonl").write_text(lines)
    with pytest.raises(UserError, match="has no texts"):
        tune_weights(world / "run", world / "silent.jsonl", world / "3gram.arpa", world / "no.toml")


def test_a_changed_model_or_a_missing_search_is_refused(world: Path) -> None:
    text = (world / "tuned" / "ngram.toml").read_text()
    (world / "tuned" / "other.toml").write_text(text.replace("3gram", "2gram"))
    with pytest.raises(UserError, match="is not what its weights were tuned with"):
        SearchFile.read(world / "tuned" / "other.toml")
    (world / "tuned" / "typo.toml").write_text("[serch]\nlm = 3\n")
    with pytest.raises(UserError, match=r"\[serch\] stands in it"):
        SearchFile.read(world / "tuned" / "typo.toml")
    with pytest.raises(UserError, match=r"wer:ngram needs a search with a language model or a lexicon"):
        evaluate([world / "run"], world / "test.jsonl", measures=["wer:ngram"])
    with pytest.raises(UserError, match=r"wer:transformer needs a search with a second language model"):
        evaluate([world / "run"], world / "test.jsonl", measures=["wer:transformer"], searches=[world / "tuned" / "ngram.toml"])
    with pytest.raises(UserError, match="is for error rates"):
        evaluate([world / "run"], world / "test.jsonl", measures=["slowness:k50"], searches=[world / "tuned" / "ngram.toml"])
    assert Decoder(load(world / "run"), SearchFile.read(world / "tuned" / "ngram.toml").settings).lexicon is None


def test_transcription_says_where_the_weights_are_of_another_recognizer(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["transcribe", str(world / "run"), str(world / "test.jsonl"), "--search"]
    assert main([*command, str(world / "tuned" / "ngram.toml")]) == 0
    assert "tuned for another" not in capsys.readouterr().err
    text = (world / "tuned" / "ngram.toml").read_text()
    (world / "tuned" / "foreign.toml").write_text(re.sub('recognizer = ".*"', 'recognizer = "0000"', text))
    assert main([*command, str(world / "tuned" / "foreign.toml")]) == 0
    assert "foreign.toml was tuned for another recognizer than" in capsys.readouterr().err


def test_what_has_no_text_is_left_out_and_counted(world: Path) -> None:
    """It was once a recording in which nothing is said, so that any word found there was an error."""
    lines = (world / "dev.jsonl").read_text().splitlines()
    without = [json.dumps({key: said for key, said in json.loads(line).items() if key not in {"text", "phones"}}) for line in lines[3:]]
    (world / "some.jsonl").write_text("\n".join(lines[:3]) + "\n")
    (world / "half.jsonl").write_text("\n".join([*lines[:3], *without]) + "\n")
    some, half = (
        tune_weights(world / "run", world / name, world / "2gram.arpa", world / f"{name}.toml", beam=4)
        for name in ("some.jsonl", "half.jsonl")
    )
    assert "3 of 6 recordings" in half.notes[0]
    assert (half.utterances, half.first, half.greedy) == (3, some.first, some.greedy)
