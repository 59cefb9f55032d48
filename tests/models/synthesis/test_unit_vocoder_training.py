"""Unit vocoder in the training loop: from a recipe to a run that speaks, interrupted and resumed, with and without discriminators."""

import json
from pathlib import Path

import pytest
import torch

from foresay.errors import UserError
from foresay.loading import load
from foresay.models.synthesis.unit_vocoder import UnitVocoder
from foresay.runs import Run
from foresay.trust import trusting
from foresay.workflows.rehearsal import rehearse
from foresay.workflows.train import run_recipe
from reference.levels import write_corpus

RECIPE = """
[model]
name = "unit-vocoder"
embedding = 4
generator_options = { size = 8, blocks = 1, inner = 16, coefficients = 16, fft = 640 }
discriminators = DISCRIMINATORS
discriminator_width = 0.125
mel_windows = [256]
mel_bands = [20]
predictor_size = 4
predictor_blocks = 1
predictor_kernel = 3

[parts.tokenizer]
name = "kmeans"
encoder = "logmel"
layer = "logmel"
clusters = 6

[parts.pitch]
name = "reference.toy_pitch"

[parts.speaker]
name = "speaker-table"

[data]
sampler = "uniform"
window = 3200
batch = 4

[trainer]
steps = 6
workers = 0
validate_every = 3
save_every = 3
"""


@pytest.mark.parametrize("discriminators", ["[]", '["multi-scale"]'])
@pytest.mark.slow
def test_a_run_that_was_interrupted_goes_on_as_if_nothing_had_happened(discriminators: str, tmp_path: Path) -> None:
    """Bit for bit, the power iterations of spectral norm and the units that were met included."""
    corpus = tmp_path / "train.jsonl"
    write_corpus(corpus, 8, seed=0)
    recipe = tmp_path / "vocoder.toml"
    recipe.write_text(RECIPE.replace("DISCRIMINATORS", discriminators))
    with trusting():  # the toy pitch is not of this package
        run_recipe("train", recipe, corpus, tmp_path / "whole", valid=corpus)
        run_recipe("train", recipe, corpus, tmp_path / "cut", valid=corpus, overrides=["trainer.steps=3"])
        run_recipe("train", recipe, corpus, tmp_path / "cut", valid=corpus)
    whole, cut = (Run(tmp_path / name).checkpoint(6).weights("cpu") for name in ("whole", "cut"))
    assert all(torch.equal(value, cut[name]) for name, value in whole.items())
    model = load(tmp_path / "whole", trust=True)
    assert isinstance(model, UnitVocoder)
    assert model.met.any()
    tokens = model.tokenizer.encode(torch.randn(1, 8_000), torch.tensor([8_000]))
    spoken = model.synthesize(tokens, model.speaker.of_names(["speaker 1"]))
    assert spoken.lengths.tolist() == [8_000]
    assert spoken.waveforms.isfinite().all()


def test_a_rehearsal_reads_who_speaks_and_fits_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = write_corpus(tmp_path / "train.jsonl", 8, seed=0)
    recipe = tmp_path / "vocoder.toml"
    recipe.write_text(RECIPE.replace("DISCRIMINATORS", "[]"))
    spoken = []
    forward = UnitVocoder.forward
    monkeypatch.setattr(UnitVocoder, "forward", lambda model, *given: (spoken.append(model.speaker.names), forward(model, *given))[1])
    monkeypatch.setattr("foresay.models.units.kmeans.KMeansUnits.fit", None)
    with trusting():
        found = rehearse("train", recipe, corpus.path, tmp_path / "run", updates=2)
    assert (found.updates, spoken) == (6, [corpus.speakers] * 2)
    assert not (tmp_path / "run").exists()


def test_the_terms_of_the_loss_are_in_the_metrics(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "train.jsonl", 8, seed=0)
    recipe = tmp_path / "vocoder.toml"
    recipe.write_text(RECIPE.replace("DISCRIMINATORS", "[]"))
    with trusting():
        run_recipe("train", recipe, corpus.path, tmp_path / "run", valid=corpus.path, overrides=["trainer.steps=2", "trainer.log_every=1"])
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    lines = [line for line in lines if line["kind"] in {"train", "valid"}]
    assert {line["kind"] for line in lines} == {"train", "valid"}
    for line in lines:
        others = sum(line.get(name, 0.0) for name in ("pitch", "voicing", "duration", "range"))  # of what has no pitch none is learnt
        assert line["loss"] == pytest.approx(45 * line["mel 256"] + others)


def test_a_part_that_is_missing_is_said_before_others_are_fitted(tmp_path: Path) -> None:
    corpus = tmp_path / "train.jsonl"
    write_corpus(corpus, 8, seed=0)
    with pytest.raises(UserError, match="parts.tokenizer=MODEL"):
        run_recipe("train", "unit-vocoder-tiny", corpus, tmp_path / "run")
    assert not (tmp_path / "run" / "parts").exists()
