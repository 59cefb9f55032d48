"""Units as frames: one-hot vectors on the clock of the layer, the same alone, in a batch, and as audio arrives."""

import pytest
import torch

from foresay.building import build
from foresay.contracts import FeatureExtractor, Tokenizer
from foresay.encoding.unit_frames import UNITS, UnitFrames
from foresay.errors import UserError
from foresay.loading import load
from foresay.models.units.kmeans import KMeansUnits, KMeansUnitsSettings

SMALL = {"channels": 32, "context_size": 32}


def _units(encoder: FeatureExtractor, layer: str, clusters: int = 6) -> KMeansUnits:
    units = KMeansUnits(KMeansUnitsSettings(layer, clusters), encoder).eval()
    waveform = 0.1 * torch.randn(1, 16_000, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        frames = encoder.features(waveform, torch.tensor([16_000]), (layer,)).values[layer][0]
    units.kmeans.centers.copy_(frames[:: len(frames) // clusters][:clusters])
    return units


@pytest.fixture(scope="module")
def causal() -> UnitFrames:
    torch.manual_seed(0)
    encoder = build({"name": "cpc", **SMALL}).eval()
    assert isinstance(encoder, FeatureExtractor)
    return UnitFrames(_units(encoder, "c")).eval()


def _clips() -> tuple[torch.Tensor, torch.Tensor]:
    return 0.1 * torch.randn(3, 12_000, generator=torch.Generator().manual_seed(0)), torch.tensor([12_000, 9_000, 5_000])


@torch.no_grad()
def test_the_one_that_is_hot_is_the_unit(causal: UnitFrames) -> None:
    waveforms, lengths = _clips()
    found, tokens = causal.features(waveforms, lengths), causal.tokenizer.encode(waveforms, lengths)
    assert causal.layer_names == ("c", UNITS)
    assert [causal.size(layer) for layer in causal.layer_names] == [32, 6]
    assert torch.equal(found.values[UNITS].argmax(-1), tokens.ids[:, 0])
    assert torch.equal(found.values[UNITS].sum(-1), torch.ones(tokens.ids.shape[0], tokens.ids.shape[2]))
    assert found.values[UNITS].shape[-1] == 6
    plain = causal.tokenizer.encoder.features(waveforms, lengths, ("c",))
    assert torch.equal(found.values["c"], plain.values["c"])
    assert found.lengths[UNITS].tolist() == found.lengths["c"].tolist() == causal.frame_count(lengths, UNITS).tolist()
    assert found.frame_rate[UNITS] == found.frame_rate["c"] == tokens.frame_rate
    assert set(causal.features(waveforms, lengths, (UNITS,)).values) == {UNITS}
    assert (causal.first_center, causal.receptive_field) == (
        causal.tokenizer.encoder.first_center,
        causal.tokenizer.encoder.receptive_field,
    )


@torch.no_grad()
@pytest.mark.parametrize("layer, name", [("c", "cpc"), ("L1", "hubert")])
def test_units_of_a_clip_do_not_depend_on_its_batch(layer: str, name: str) -> None:
    """A unit is a choice: a frame that lies between two centers may be either, and on these there is none."""
    torch.manual_seed(0)
    tiny = {"channels": 16, "size": 32, "layers": 1, "heads": 2, "inner": 32, "position_kernel": 8, "classes": 4, "target_size": 8}
    encoder = build({"name": name, **(SMALL if name == "cpc" else tiny)}).eval()
    assert isinstance(encoder, FeatureExtractor)
    frames = UnitFrames(_units(encoder, layer)).eval()
    waveforms, lengths = _clips()
    waveforms[1:, 9_000:] = 7.0  # what lies beyond a clip is nothing to it
    together = frames.features(waveforms, lengths, (UNITS,))
    for row, length in enumerate(lengths.tolist()):
        alone = frames.features(waveforms[row : row + 1, :length], torch.tensor([length]), (UNITS,)).values[UNITS][0]
        count = int(together.lengths[UNITS][row])
        assert torch.equal(together.values[UNITS][row, :count], alone[:count])


@torch.no_grad()
def test_units_as_audio_arrives_are_those_of_the_whole(causal: UnitFrames) -> None:
    waveforms, _ = _clips()
    stream = causal.stream()
    pushed = [stream.push(chunk) for chunk in waveforms[:1].split(1_234, dim=1)]
    parts = [part.values[UNITS] for part in (*pushed, stream.finish())]
    whole = causal.features(waveforms[:1], torch.tensor([12_000]), (UNITS,)).values[UNITS]
    assert torch.equal(torch.cat(parts, dim=1), whole)


def test_what_cannot_stream_and_what_has_levels_is_refused() -> None:
    with pytest.raises(TypeError, match="cannot stream"):
        UnitFrames(_units(load("mfcc"), "mfcc")).stream()

    class Levelled(KMeansUnits):
        levels = 2

    tokenizer: Tokenizer = Levelled(KMeansUnitsSettings("mfcc", 4), load("mfcc"))
    with pytest.raises(UserError, match="gives 2 symbols to each frame"):
        UnitFrames(tokenizer)
