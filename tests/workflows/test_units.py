"""Units from one command: fitted, imported, and a corpus written in them; whose they are is never in doubt."""

import re
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from foresay import cli
from foresay.corpora.labels import FrameLabels
from foresay.corpora.manifest import Item, Manifest, write_manifest
from foresay.errors import AudioError, UserError
from foresay.loading import load
from foresay.models.units.kmeans import KMeansUnits
from foresay.results import read_results
from foresay.workflows.evaluate import evaluate
from foresay.workflows.train import run_recipe
from foresay.workflows.units import describe_units, encode_units, fit_units, import_units, load_tokenizer
from reference.levels import write_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("units") / "train.jsonl", 6).path


@pytest.fixture(scope="module")
def units(corpus: Path) -> Path:
    fit_units("logmel", corpus, corpus.parent / "units", layer="logmel", clusters=8)
    return corpus.parent / "units"


def test_fitting_is_a_run_of_k_means(units: Path, corpus: Path, tmp_path: Path) -> None:
    overrides = ["parts.encoder=logmel", "model.layer=logmel", "model.clusters=8"]
    run_recipe("train", "kmeans", corpus, tmp_path / "run", overrides=overrides)
    assert load_tokenizer(units).fingerprint == load_tokenizer(tmp_path / "run").fingerprint
    fitted = fit_units("logmel", corpus, tmp_path / "other", layer="logmel", clusters=8, hours=1, frames=100, seed=1)
    assert isinstance(fitted, KMeansUnits)
    assert (fitted.settings.hours, fitted.settings.frames) == (1.0, 100)
    with pytest.raises(UserError, match=r"begun with another recipe \(model.clusters: 8 -> 9\)"):
        fit_units("logmel", corpus, units, layer="logmel", clusters=9)


def test_what_cannot_be_fitted_is_refused(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"are too few to find 60000 clusters in"):
        fit_units("logmel", corpus, tmp_path / "many", layer="logmel", clusters=60_000)
    with pytest.raises(UserError, match="has no layer 'L6' to find clusters in"):
        fit_units("logmel", corpus, tmp_path / "layer", layer="L6", clusters=8)


def test_recordings_that_cannot_be_read_are_left_out_of_a_fit_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = write_corpus(tmp_path / "broken.jsonl", 5)
    whole = fit_units("logmel", manifest.path, tmp_path / "all", layer="logmel", clusters=4)
    for place in (1, 3):
        audio = manifest[place].audio
        assert audio is not None
        audio.write_bytes(b"no audio")
    capsys.readouterr()
    units = fit_units("logmel", manifest.path, tmp_path / "units", layer="logmel", clusters=4)
    assert "2 of 5 recordings cannot be read and are left out; the first: " in "".join(capsys.readouterr())
    listed = (tmp_path / "units" / "left-out.txt").read_text().splitlines()
    assert [line.split("\t")[:2] for line in listed] == [["train", "broken-1"], ["train", "broken-3"]]
    assert units.fingerprint != whole.fingerprint
    for place in (0, 2, 4):
        audio = manifest[place].audio
        assert audio is not None
        audio.write_bytes(b"no audio")
    with pytest.raises(AudioError, match="cannot be read as audio"):
        fit_units("logmel", manifest.path, tmp_path / "none", layer="logmel", clusters=4)


def test_imported_centers_give_the_units_that_they_gave_before(units: Path, corpus: Path, tmp_path: Path) -> None:
    ours = load_tokenizer(units)
    assert isinstance(ours, KMeansUnits)
    np.save(tmp_path / "centers.npy", ours.kmeans.centers.numpy())
    imported = import_units("logmel", tmp_path / "centers.npy", tmp_path / "run", layer="logmel")
    assert imported.fingerprint == ours.fingerprint
    again = import_units("logmel", tmp_path / "centers.npy", tmp_path / "run", layer="logmel")
    assert again.fingerprint == imported.fingerprint
    np.save(tmp_path / "others.npy", 2 * ours.kmeans.centers.numpy())
    with pytest.raises(UserError, match="was begun with other centers .*centers.npy"):
        import_units("logmel", tmp_path / "others.npy", tmp_path / "run", layer="logmel")
    with pytest.raises(UserError, match="was begun on another corpus"):
        fit_units("logmel", corpus, tmp_path / "run", layer="logmel", clusters=8)
    with pytest.raises(UserError, match=r"begun with another recipe"):
        import_units("mfcc", tmp_path / "centers.npy", tmp_path / "run", layer="mfcc")


def test_centers_of_another_layer_and_folders_of_other_things(units: Path, tmp_path: Path) -> None:
    ours = load_tokenizer(units)
    assert isinstance(ours, KMeansUnits)
    np.save(tmp_path / "centers.npy", ours.kmeans.centers.numpy())
    with pytest.raises(UserError, match="holds centers of 80 dimensions, and layer mfcc of mfcc has 39"):
        import_units("mfcc", tmp_path / "centers.npy", tmp_path / "run", layer="mfcc")
    with pytest.raises(UserError, match="is not empty and is no run"):
        import_units("logmel", tmp_path / "centers.npy", tmp_path, layer="logmel")


def test_a_corpus_in_units_is_what_the_tokenizer_says_of_each_recording(units: Path, corpus: Path, tmp_path: Path) -> None:
    done = encode_units(units, corpus, tmp_path / "encoded")
    manifest = Manifest.open(corpus)
    labels = FrameLabels(tmp_path / "encoded", manifest)
    assert (len(done.manifest), done.left_out) == (len(manifest), [])
    assert done.labels.about["tokenizer"] == done.tokenizer.fingerprint
    for place in range(len(manifest)):
        waveform = torch.from_numpy(manifest.read(place, 16_000))[None]
        tokens = done.tokenizer.encode(waveform, torch.tensor([waveform.shape[1]]))
        times = labels.first_center + np.arange(int(tokens.lengths[0])) / labels.frame_rate
        assert labels.at(place, times).tolist() == tokens.ids[0, 0].tolist()


def test_recordings_of_less_than_a_frame_are_counted(units: Path, corpus: Path, tmp_path: Path) -> None:
    items = [*Manifest.open(corpus)][:2]
    soundfile.write(tmp_path / "short.wav", np.zeros(100), 16_000)
    short = Item("short", audio=tmp_path / "short.wav", duration=100 / 16_000, sample_rate=16_000)
    write_manifest(tmp_path / "some.jsonl", [replace(items[0], phones=None), short, replace(items[1], phones=None)])
    done = encode_units(units, tmp_path / "some.jsonl", tmp_path / "encoded")
    assert (done.too_short, done.left_out) == (1, [])
    done.write_text(tmp_path / "units.txt", merged=True)
    assert [line.partition("|")[0] for line in (tmp_path / "units.txt").read_text().splitlines()] == [items[0].id, items[1].id]


def test_units_as_text_are_those_of_the_folder(units: Path, corpus: Path, tmp_path: Path) -> None:
    done = encode_units(units, corpus, tmp_path / "encoded")
    for merged in (False, True):
        done.write_text(tmp_path / "units.txt", merged=merged)
        lines = (tmp_path / "units.txt").read_text().splitlines()
        assert len(lines) == len(done.manifest)
        for place, line in enumerate(lines):
            name, _, written = line.rpartition("|")
            expected = done.labels.of_item(place).tolist()
            assert name == done.manifest.ids[place]
            assert [int(unit) for unit in written.split()] == ([unit for unit, _ in groupby(expected)] if merged else expected)


def test_a_folder_of_other_units_is_not_written_over(units: Path, corpus: Path, tmp_path: Path) -> None:
    encode_units(units, corpus, tmp_path / "encoded")
    before = (tmp_path / "encoded" / "codes.npy").stat().st_mtime_ns
    encode_units(units, corpus, tmp_path / "encoded")
    assert (tmp_path / "encoded" / "codes.npy").stat().st_mtime_ns == before
    fit_units("mfcc", corpus, tmp_path / "other", layer="mfcc", clusters=4)
    with pytest.raises(UserError, match="is of the units of another tokenizer"):
        encode_units(tmp_path / "other", corpus, tmp_path / "encoded")
    with pytest.raises(UserError, match="is of the units of another corpus"):
        encode_units(units, write_corpus(tmp_path / "b.jsonl", 3, seed=5).path, tmp_path / "encoded")
    (tmp_path / "speech").mkdir()
    (tmp_path / "speech" / "left-out.txt").write_text("somebody else's")
    with pytest.raises(UserError, match=r"speech holds other things than units, such as left-out.txt: choose another --out"):
        encode_units(units, corpus, tmp_path / "speech")
    assert [path.name for path in (tmp_path / "speech").iterdir()] == ["left-out.txt"]
    (tmp_path / "encoded" / "labels.toml").unlink()  # as of one that was stopped before its last file
    assert len(encode_units(units, corpus, tmp_path / "encoded").labels.of_item(0))


def test_what_has_no_units_is_refused(tmp_path: Path, corpus: Path) -> None:
    with pytest.raises(UserError, match="mfcc is an MFCC, which gives no units: `foresay units fit mfcc"):
        encode_units("mfcc", corpus, tmp_path / "encoded")
    assert load("mfcc").layer_names == ("mfcc",)


def test_units_are_described_beside_their_layer_and_units_of_log_mel(corpus: Path, tmp_path: Path) -> None:
    fit_units("mfcc", corpus, tmp_path / "units", layer="mfcc", clusters=4)
    test = write_corpus(tmp_path / "test.jsonl", 6, seed=1).path
    found = describe_units(tmp_path / "units", test, corpus, options=["speaker.window=2", "speaker.shortest=1.9"])
    assert list(found.left_out) == ["abx:phone"]
    assert "does not say how many tokens of a phone by one speaker are compared" in found.left_out["abx:phone"]
    models = {(row.model, row.measure) for row in found.results}
    assert {("units", "units"), ("control-logmel-4", "units"), ("units", "speaker"), ("control-logmel-4", "speaker")} <= models
    speakers = {row.layer for row in found.results if (row.model, row.measure) == ("units", "speaker")}
    assert speakers == {"mfcc", "units"}
    assert len(read_results(tmp_path / "units" / "results.jsonl")) > 20
    again = describe_units(tmp_path / "units", test, corpus, options=["speaker.window=2", "speaker.shortest=1.9"])
    assert [(row.layer, row.value, row.seconds) for row in again.results] == [(row.layer, row.value, row.seconds) for row in found.results]


def test_without_another_corpus_there_is_no_control(units: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ["abx.max_size_group=2", "abx.max_x_across=1"]
    found = describe_units(units, corpus, options=options, out=tmp_path)
    assert list(found.left_out) == ["control", "speaker:mean"]
    assert {row.layer for row in found.results if row.measure == "abx" and row.model == "units"} == {"logmel", "units"}
    monkeypatch.setattr("foresay.workflows.units.evaluate", lambda *_, **__: [])
    assert describe_units(units, corpus, corpus).left_out == {"control": "these units are of logmel themselves"}
    with pytest.raises(UserError, match="--option takes MEASURE.FIELD=VALUE, of units, abx, speaker, not 'probe.epochs=3'"):
        describe_units(units, corpus, options=["probe.epochs=3"])
    with pytest.raises(UserError, match="units@1 is no folder of its own to keep numbers and the control in: give --out"):
        describe_units(f"{units}@1", corpus, corpus)


def test_a_control_is_not_found_on_what_it_is_tested_on_nor_otherwise_than_before(corpus: Path, tmp_path: Path) -> None:
    fit_units("mfcc", corpus, tmp_path / "units", layer="mfcc", clusters=4)
    copy = corpus.with_name("copy.jsonl")
    copy.write_bytes(corpus.read_bytes())
    found = describe_units(tmp_path / "units", corpus, copy, options=["abx.max_size_group=2", "abx.max_x_across=1"])
    assert "found on another corpus than they are tested on" in found.left_out["control"]
    assert {row.model for row in found.results if row.measure == "units"} == {"units"}
    test = write_corpus(tmp_path / "test.jsonl", 6, seed=1).path
    fit_units("logmel", corpus, tmp_path / "out" / "control-logmel-4", layer="logmel", clusters=4, seed=1)
    with pytest.raises(UserError, match=r"the control of `describe`, units of logmel: .*trainer.seed: 1 -> 0.*Here that is another --out"):
        describe_units(tmp_path / "units", test, corpus, out=tmp_path / "out")


def test_what_cannot_be_described_at_all_is_an_error(units: Path, corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no manifest .*none.jsonl"):
        describe_units(units, tmp_path / "none.jsonl", corpus)
    with pytest.raises(UserError, match=r"nothing can be measured of .* on .*. units:unigram: .*phone"):
        describe_units(units, corpus, options=["units.phone=1"], out=tmp_path / "out")


def test_units_are_evaluated_as_any_model(units: Path, corpus: Path, tmp_path: Path) -> None:
    rows = evaluate([units], corpus, measures=["slowness:k50"], layers=["units"], options=["slowness.clusters=3"], out=tmp_path)
    assert ("units", "units") in {(row.model, row.layer) for row in rows}


def test_the_command_says_what_was_made(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit = ["units", "fit", "logmel", "--layer", "logmel", "--run", str(tmp_path / "run")]
    assert cli.main([*fit, "--clusters", "4", "--corpus", str(corpus)]) == 0
    said = capsys.readouterr().out
    assert "4 units of layer logmel, 100 a second, 200 bit/s if all were as frequent" in said
    assert load_tokenizer(tmp_path / "run").fingerprint in said
    manifest = Manifest.open(corpus)
    broken = manifest[2].audio
    assert broken is not None
    whole = broken.read_bytes()
    broken.write_bytes(b"no audio")
    try:
        encode = ["units", "encode", str(tmp_path / "run"), "--corpus", str(corpus), "--out", str(tmp_path / "out")]
        assert cli.main([*encode, "--merged-text", str(tmp_path / "units.txt")]) == 0
    finally:
        broken.write_bytes(whole)
    said = capsys.readouterr().out
    assert "5 recordings in 4 units of layer logmel" in said
    assert "left out: train-2: " in said
    assert re.search(r"PNMI with the phones of the corpus: 0\.\d+", said)
    assert len((tmp_path / "units.txt").read_text().splitlines()) == 5


@pytest.mark.parametrize(
    "words, message",
    [
        (["fit", "logmel", "--layer", "logmel"], "say how many units there shall be"),
        (["fit", "logmel", "--layer", "logmel", "--centers", "km.bin", "--clusters", "5"], "are fitted already: leave out --clusters"),
        (["fitt"], "fit"),
    ],
)
def test_mistakes_on_the_command_line(words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = [*words, "--run", str(tmp_path / "run")] if words[0] == "fit" else words
    assert cli.main(["units", *given]) == 2
    assert message in capsys.readouterr().err
