"""Models that are made of a tokenizer learn from its units: as labels at its clock, or as texts."""

import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from foresay.cli import main
from foresay.contracts import Batch, TokenModel
from foresay.corpora.labels import FrameLabels
from foresay.corpora.manifest import Manifest
from foresay.errors import UserError
from foresay.loading import load
from foresay.runs import Run
from foresay.settings import read_toml_file
from foresay.training.recipe import read_recipe
from foresay.trust import trusting
from foresay.workflows.rehearsal import rehearse
from foresay.workflows.train import run_recipe
from foresay.workflows.unit_texts import imagined_unit_texts
from reference.levels import write_corpus
from reference.toy_vocoder import ToyVocoder

SMALL = ("model.size=16", "model.layers=1", "model.heads=2", "model.inner=16", "data.characters=800", "trainer.steps=2")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "train.jsonl", 4, seed=0)


@pytest.fixture(scope="module")
def units(tmp_path_factory: pytest.TempPathFactory, corpus: Manifest) -> Path:
    folder = tmp_path_factory.mktemp("units")
    overrides = ["parts.encoder=logmel", "model.layer=logmel", "model.clusters=8"]
    run_recipe("train", "kmeans", corpus.path, folder, overrides=overrides)
    return folder


def lm(corpus: Manifest, run: Path, *overrides: str, **options: object) -> None:
    run_recipe("train", "unit-lm-tiny", corpus.path, run, overrides=[*SMALL, *overrides], **options)  # type: ignore[arg-type]


def texts_of(run: Path, purpose: str = "train") -> list[str]:
    return [item.text or "" for item in Manifest.open(run / "labels" / purpose / "units.jsonl")]


def test_texts_are_the_units_of_each_recording_in_order(tmp_path: Path, corpus: Manifest, units: Path) -> None:
    lm(corpus, tmp_path / "lm", f"parts.tokenizer={units}", valid=corpus.path)
    lm(corpus, tmp_path / "frames", f"parts.tokenizer={units}", "model.merged=false", "data.characters=3000")
    tokenizer = load(units)
    for place, (merged, text) in enumerate(zip(texts_of(tmp_path / "lm"), texts_of(tmp_path / "frames"), strict=True)):
        waveform = torch.from_numpy(corpus.read(place, 16_000))[None]
        ids = tokenizer.encode(waveform, torch.tensor([waveform.shape[1]])).ids[0, 0].tolist()
        assert text == " ".join(map(str, ids))
        assert merged == " ".join(str(now) for before, now in zip([None, *ids], ids, strict=False) if now != before)
    assert texts_of(tmp_path / "lm", "valid") == texts_of(tmp_path / "lm")
    loaded = load(tmp_path / "lm")
    assert (
        loaded.tokenizer.fingerprint == tokenizer.fingerprint == read_toml_file(tmp_path / "lm" / "parts.toml")["tokenizer"]["fingerprint"]
    )


def test_a_run_goes_on_without_the_tokenizers_run(tmp_path: Path, corpus: Manifest, units: Path) -> None:
    copy = shutil.copytree(units, tmp_path / "units")
    shared = (f"parts.tokenizer={copy}", "optimizer.schedule=constant", "optimizer.warmup=0")
    lm(corpus, tmp_path / "run", *shared, "trainer.steps=1")
    before = texts_of(tmp_path / "run")
    shutil.rmtree(copy)
    shutil.rmtree(tmp_path / "run" / "labels")  # even these are made again, by the run's own tokenizer
    lm(corpus, tmp_path / "run", *shared)
    assert texts_of(tmp_path / "run") == before


@pytest.mark.slow
def test_a_run_goes_on_bit_for_bit_with_a_new_valid(tmp_path: Path, corpus: Manifest, units: Path) -> None:
    shared = (f"parts.tokenizer={units}", "optimizer.schedule=constant", "optimizer.warmup=0")
    lm(corpus, tmp_path / "whole", *shared, "trainer.steps=4")
    lm(corpus, tmp_path / "run", *shared)
    held_out = write_corpus(tmp_path / "valid.jsonl", 3, seed=1)
    lm(corpus, tmp_path / "run", *shared, "trainer.steps=4", valid=held_out.path)
    whole, cut = load(tmp_path / "whole").state_dict(), load(tmp_path / "run").state_dict()
    for name, weights in whole.items():
        torch.testing.assert_close(cut[name], weights, rtol=0, atol=0)
    assert len(texts_of(tmp_path / "run", "valid")) == 3


def test_nothing_is_written_where_a_run_may_not_be(tmp_path: Path, corpus: Manifest, units: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "song.wav").touch()
    with pytest.raises(UserError, match="is not empty and is no run"):
        lm(corpus, tmp_path / "mine", f"parts.tokenizer={units}")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["song.wav"]
    lm(corpus, tmp_path / "run", f"parts.tokenizer={units}")
    before = texts_of(tmp_path / "run")
    with pytest.raises(UserError, match="was begun on another corpus"):
        lm(write_corpus(tmp_path / "other.jsonl", 6, seed=2), tmp_path / "run", f"parts.tokenizer={units}")
    assert texts_of(tmp_path / "run") == before


def test_a_run_that_was_stopped_while_labels_were_made_begins_all_the_same(tmp_path: Path, corpus: Manifest, units: Path) -> None:
    lm(corpus, tmp_path / "run", f"parts.tokenizer={units}")
    for path in (tmp_path / "run").iterdir():
        if path.name != "labels":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    lm(corpus, tmp_path / "run", f"parts.tokenizer={units}")
    assert Run(tmp_path / "run").checkpoints()


@pytest.mark.parametrize(
    "overrides, message",
    [
        ((), r"made of another model, `tokenizer`: --set parts.tokenizer=MODEL, a Tokenizer"),
        (("parts.tokenizer=logmel",), r"parts.tokenizer of UnitLM must be a Tokenizer .*, and this is a LogMel"),
        (("parts.labels=logmel",), r"unknown part 'labels': .*tokenizer"),
        (("parts.tokenizer={}", "data.sampler=uniform"), r"--set data.sampler=texts"),
    ],
)
def test_what_is_no_tokenizer_is_refused(tmp_path: Path, corpus: Manifest, units: Path, overrides: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        lm(corpus, tmp_path / "run", *(override.format(units) for override in overrides))
    assert not (tmp_path / "run").exists()


def test_the_command_names_the_units(tmp_path: Path, corpus: Manifest, units: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "unit-lm-tiny", "--units", str(units), "--corpus", str(corpus.path), "--run", str(tmp_path / "run")]
    settings = [word for override in SMALL for word in ("--set", override)]
    assert main([*words, *settings, "--dry-run"]) == 0
    assert "updates             2" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()
    assert main([*words, *settings]) == 0
    assert main(["train", "unit-lm-tiny", "--units", str(units), "--show"]) == 0
    assert f'tokenizer = "{units}"' in capsys.readouterr().out


@pytest.fixture
def vocoder(tmp_path: Path, units: Path) -> str:
    path = tmp_path / "vocoder.toml"
    path.write_text(
        'model = "reference.toy_vocoder"\n[data]\nsampler = "uniform"\nbatch = 2\nwindow = 4_960\n'
        f'[trainer]\nsteps = 3\n[parts]\ntokenizer = "{units}"\n'
    )
    return str(path)


def given_to(monkeypatch: pytest.MonkeyPatch) -> list[Batch]:
    found: list[Batch] = []
    forward = ToyVocoder.forward
    monkeypatch.setattr(ToyVocoder, "forward", lambda model, batch, *rest: (found.append(batch), forward(model, batch, *rest))[1])
    return found


@pytest.mark.parametrize("rate", [16_000, 24_000])
def test_a_synthesizer_gets_the_labels_of_its_tokenizer_at_its_clock(
    tmp_path: Path, corpus: Manifest, vocoder: str, rate: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """10 ms each, wherever the window begins and whatever its sample rate is; who speaks is given by name."""
    given = given_to(monkeypatch)
    with trusting():
        overrides = [f"model.sample_rate={rate}", f"data.sample_rate={rate}", "data.join=false"]
        run_recipe("train", vocoder, corpus.path, tmp_path / "run", valid=corpus.path, overrides=overrides)
    with trusting():
        encoder = load(tmp_path / "run").tokenizer.encoder
    labels = FrameLabels(tmp_path / "run" / "labels" / "train", corpus)
    ids = {name: place for place, name in enumerate(corpus.ids)}
    assert len(given) >= 3
    for batch in given:
        assert batch.labels is not None
        assert batch.speaker_names is not None
        assert batch.labels.shape[1] == int(encoder.frame_count(torch.tensor(4_960 * 16_000 // rate), "logmel"))
        for name, speaker, row in zip(batch.ids, batch.speaker_names, batch.labels.numpy(), strict=True):
            who, _, rest = name.partition("/")
            item, _, start = rest.partition("@")
            assert who == speaker
            times = float(start) + (encoder.first_center + 160 * np.arange(len(row))) / 16_000
            around = [labels.at(ids[item], times + error) for error in (-0.0005, 0.0005)]  # the name is rounded
            assert np.all((row == around[0]) | (row == around[1]))
            assert row.min() >= 0


def test_a_synthesizer_reads_audio_at_its_own_rate(tmp_path: Path, corpus: Manifest, vocoder: str) -> None:
    with trusting(), pytest.raises(UserError, match=r"24000 Hz, but data.sample_rate = 16000"):
        run_recipe("train", vocoder, corpus.path, tmp_path / "run", overrides=["model.sample_rate=24000"])


def test_a_rehearsal_of_a_model_of_units_encodes_nothing(
    tmp_path: Path, corpus: Manifest, units: Path, vocoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("foresay.encoding.labels._label", None)
    settings = [*SMALL, "data.characters=3000", f"parts.tokenizer={units}"]
    found = rehearse("train", "unit-lm-tiny", corpus.path, tmp_path / "run", overrides=settings)
    assert (found.updates, found.audio_hours) == (2, 0)
    with trusting():
        assert rehearse("train", vocoder, corpus.path, tmp_path / "run").updates == 3
    assert not (tmp_path / "run").exists()


def test_texts_that_are_made_up_are_as_long_as_the_frames(corpus: Manifest, units: Path) -> None:
    model = read_recipe("unit-lm-tiny", SMALL).build_model({"tokenizer": load(units)})
    assert isinstance(model, TokenModel)
    frames = load("logmel").frame_count(torch.from_numpy(corpus.lengths(16_000)), "logmel").tolist()
    with imagined_unit_texts(model, corpus) as texts:
        rows = [(item.text or "").split() for item in texts]
    assert [len(row) for row in rows] == frames
    assert all(before != now for row in rows for before, now in itertools.pairwise(row))
    assert {unit for row in rows for unit in row} == set(model.language_model.symbols)


def test_a_recipe_knows_whose_symbols_are_learnt_from() -> None:
    assert read_recipe("unit-lm-tiny").labelled_by == "tokenizer"
    assert read_recipe("hubert-tiny").labelled_by == "labels"
    assert read_recipe("cpc").labelled_by is None
