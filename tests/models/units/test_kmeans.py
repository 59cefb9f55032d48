"""k-means units: fitted in one pass, kept with their encoder, and the same for any batch."""

from pathlib import Path

import numpy as np
import pytest
import torch

from foresay.building import build, describe
from foresay.contracts import Tokens
from foresay.corpora.manifest import Manifest
from foresay.encoding.passes import CorpusPasses
from foresay.errors import UserError
from foresay.loading import load
from foresay.models.units.kmeans import KMeansUnits, KMeansUnitsSettings
from foresay.workflows.rehearsal import rehearse
from foresay.workflows.train import run_recipe
from reference.levels import write_corpus


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_corpus(tmp_path_factory.mktemp("units") / "train.jsonl", 8, seed=0)


@pytest.fixture(scope="module")
def units(manifest: Manifest) -> KMeansUnits:
    fitted = KMeansUnits(KMeansUnitsSettings("mfcc", 8), load("mfcc"))
    fitted.fit(CorpusPasses(manifest, 0))
    return fitted


def test_a_unit_is_the_nearest_center(units: KMeansUnits, manifest: Manifest) -> None:
    waveforms = [torch.from_numpy(manifest.read(item, 16_000)) for item in range(3)]
    lengths = torch.tensor([len(waveform) for waveform in waveforms])
    found = units.encode(torch.nn.utils.rnn.pad_sequence(waveforms, batch_first=True), lengths)
    assert (found.vocabulary, found.frame_rate, found.fingerprint) == (8, 100.0, units.fingerprint)
    for row, waveform in enumerate(waveforms):
        features = load("mfcc").features(waveform[None], torch.tensor([len(waveform)])).values["mfcc"][0].double()
        nearest = (features[:, None] - units.kmeans.centers.double()).square().sum(-1).argmin(1)
        assert int(found.lengths[row]) == len(nearest)
        assert (found.ids[row, 0, : len(nearest)] == nearest).double().mean() > 0.995  # but for ties in float32


def test_centers_do_not_depend_on_how_the_pass_was_cut_and_do_on_the_seed(units: KMeansUnits, manifest: Manifest) -> None:
    again, other = (KMeansUnits(KMeansUnitsSettings("mfcc", 8), load("mfcc")) for _ in range(2))
    again.fit(CorpusPasses(manifest, 0))
    other.fit(CorpusPasses(manifest, 1))
    assert again.fingerprint == units.fingerprint != other.fingerprint


def test_not_moved_centers_are_frames(manifest: Manifest) -> None:
    frames = CorpusPasses(manifest, 0).frames(load("mfcc"), "mfcc", hours=100.0, most=10**6)
    drawn = KMeansUnits(KMeansUnitsSettings("mfcc", len(frames), moved=False), load("mfcc"))
    drawn.fit(CorpusPasses(manifest, 0))  # as many as there are: all of them, in another order
    assert not torch.equal(drawn.kmeans.centers, frames)
    assert torch.equal(drawn.kmeans.centers.unique(dim=0), frames.unique(dim=0))
    assert len(frames.unique(dim=0)) > 8


def test_other_tokens_are_refused_by_name(units: KMeansUnits) -> None:
    tokens = units.encode(torch.zeros(1, 16_000), torch.tensor([16_000]))
    tokens.require(units.fingerprint, "the unit language model")
    with pytest.raises(UserError, match="the unit language model knows those of tokenizer abc"):
        tokens.require("abc", "the unit language model")
    assert isinstance(tokens, Tokens)


def test_a_run_of_its_own_holds_the_encoder_too(tmp_path: Path, manifest: Manifest) -> None:
    progress = run_recipe("train", "kmeans", manifest.path, tmp_path / "units", overrides=["model.clusters=8", "trainer.seed=0"])
    assert progress.step == 1
    fitted = KMeansUnits(KMeansUnitsSettings("mfcc", 8), load("mfcc"))
    fitted.fit(CorpusPasses(manifest, 0))
    loaded = load(tmp_path / "units")
    assert loaded.fingerprint == fitted.fingerprint
    assert describe(loaded) == describe(build(describe(loaded)))
    weights = (tmp_path / "units" / "model" / "model.safetensors").stat().st_mtime_ns
    run_recipe("train", "kmeans", manifest.path, tmp_path / "units", overrides=["model.clusters=8"])  # is done
    assert (tmp_path / "units" / "model" / "model.safetensors").stat().st_mtime_ns == weights
    with pytest.raises(UserError, match=r"begun with another recipe \(model.clusters: 8 -> 9\)"):
        run_recipe("train", "kmeans", manifest.path, tmp_path / "units", overrides=["model.clusters=9"])


@pytest.mark.parametrize(
    "overrides, message",
    [
        (["model.clusters=1"], "more than one cluster"),
        (["model.clusters=65536"], "fewer than 65,536"),
        (["model.hours=0.0"], "hours must be above 0"),
        (["model.clusters=60000"], "too few to find 60000 clusters"),
        (["model.layer=mfc"], 'did you mean "mfcc"'),
        (["trainer.steps=5"], r"not trained by steps: leave out trainer\.steps"),
        (["optimizer.lr=1.0"], "leave out optimizer"),
        (["parts.encoder=pixels"], "must be a FeatureExtractor .* and this is a Pixels"),
        (["parts.decoder=mfcc"], "unknown part 'decoder'"),
        (["parts.encoder=mfc"], "neither a folder nor a baseline"),
        (["parts.encoder=3"], "must be a MODEL"),
    ],
)
def test_what_cannot_be_fitted_is_explained(overrides: list[str], message: str, tmp_path: Path, manifest: Manifest) -> None:
    with pytest.raises(UserError, match=message):
        run_recipe("train", "kmeans", manifest.path, tmp_path / "run", overrides=overrides)


def test_units_have_no_rehearsal(tmp_path: Path, manifest: Manifest) -> None:
    with pytest.raises(UserError, match="leave out --dry-run"):
        rehearse("train", "kmeans", manifest.path, tmp_path / "run")


def test_the_wrong_verb_is_named(tmp_path: Path, manifest: Manifest) -> None:
    with pytest.raises(UserError, match="use `foresay train kmeans"):
        run_recipe("pretrain", "kmeans", manifest.path, tmp_path / "run")
    with pytest.raises(UserError, match="use `foresay pretrain cpc"):
        run_recipe("train", "cpc", manifest.path, tmp_path / "run")


def test_equal_weights_of_another_layer_are_another_tokenizer() -> None:
    encoder = build({"name": "cpc", "channels": 8, "context_size": 8, "predictor": "linear"}).eval()
    one, other = (KMeansUnits(KMeansUnitsSettings(layer, 4), encoder) for layer in ("z", "c"))
    assert one.fingerprint != other.fingerprint
    assert np.array_equal(one.kmeans.centers, other.kmeans.centers)
