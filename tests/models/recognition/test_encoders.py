"""Encoders of recognizers: what is none is refused, building leaves it as it is; what is frozen is encoded once, alone, and kept."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from foresay.building import build
from foresay.contracts import FeatureExtractor, Frames, Recognizer
from foresay.errors import UserError
from foresay.models.recognition._encoders import FrozenFeatures
from foresay.models.recognition.attention import AttentionRecognizer, AttentionSettings
from foresay.models.recognition.ctc import CTC, CTCSettings
from foresay.models.recognition.transducer import Transducer, TransducerSettings

CPC = {"name": "cpc", "channels": 8, "context_size": 12, "context_layers": 1, "norm": "batch", "predictor": "linear"}
LENGTHS = torch.tensor([8000, 5000, 6400])
IDS = ("a", "b", "c")


SYMBOLS = ("<blank>", "|", "a")
RECOGNIZERS: list[Callable[[FeatureExtractor], Recognizer]] = [
    lambda encoder: CTC(CTCSettings(SYMBOLS), encoder),
    lambda encoder: Transducer(TransducerSettings(SYMBOLS), encoder),
    lambda encoder: AttentionRecognizer(AttentionSettings(SYMBOLS, listener=4, speller=4), encoder),
]


@pytest.mark.parametrize("build_on", RECOGNIZERS)
def test_building_on_an_encoder_changes_none_of_its_norms(build_on: Callable[[FeatureExtractor], Recognizer]) -> None:
    encoder = build(CPC).train()
    assert isinstance(encoder, FeatureExtractor)
    before = {name: buffer.clone() for name, buffer in encoder.named_buffers()}
    build_on(encoder)
    assert any("running_mean" in name for name in before)
    assert all(torch.equal(buffer, before[name]) for name, buffer in encoder.named_buffers())


@pytest.mark.parametrize("build_on", RECOGNIZERS)
def test_what_emits_is_no_encoder(build_on: Callable[[FeatureExtractor], Recognizer]) -> None:
    encoder = build(CPC)
    assert isinstance(encoder, FeatureExtractor)
    with pytest.raises(UserError, match=r"the encoder is a recognizer.*MODEL#encoder"):
        build_on(CTC(CTCSettings(SYMBOLS), encoder))


class Counting(FeatureExtractor):
    """An encoder that counts what it is given."""

    def __init__(self, encoder: FeatureExtractor) -> None:
        self.encoder, self.layer_names, self.given = encoder, encoder.layer_names, list[tuple[int, ...]]()

    def frame_count(self, lengths: Tensor, layer: str) -> Tensor:
        return self.encoder.frame_count(lengths, layer)

    def features(self, waveforms: Tensor, lengths: Tensor, layers: Sequence[str] | None = None) -> Frames:
        self.given.append(tuple(waveforms.shape))
        return self.encoder.features(waveforms, lengths, layers)


@pytest.fixture
def encoder() -> Counting:
    torch.manual_seed(0)
    found = build(CPC).eval()
    assert isinstance(found, FeatureExtractor)
    return Counting(found)


def waveforms() -> Tensor:
    return 0.1 * torch.randn(3, 8000, generator=torch.Generator().manual_seed(0)) * (torch.arange(8000) < LENGTHS[:, None])


def test_they_are_those_of_each_utterance_alone_and_it_is_encoded_once(encoder: Counting) -> None:
    kept, given = FrozenFeatures(("z", "c")), waveforms()
    first = kept(encoder, IDS, given, LENGTHS)
    assert encoder.given == [(1, length) for length in LENGTHS.tolist()]
    places = [2, 0]
    again = kept(encoder, ("c", "a"), given[places], LENGTHS[places])
    assert len(encoder.given) == 3
    whole = encoder.features(given, LENGTHS)
    for layer in ("z", "c"):
        for row, length in enumerate(encoder.frame_count(LENGTHS, layer).tolist()):
            torch.testing.assert_close(first[layer][row, :length], whole.values[layer][row, :length], rtol=1e-4, atol=1e-4)
            assert not first[layer][row, length:].any()
        assert torch.equal(again[layer][1], first[layer][0])
        assert not again[layer].requires_grad


def test_what_has_no_room_is_encoded_every_time_and_is_the_same(encoder: Counting) -> None:
    room = int(encoder.frame_count(LENGTHS[:1], "c")) * 12 * 4
    small, large = FrozenFeatures(("c",), most=room), FrozenFeatures(("c",))
    expected = large(encoder, IDS, waveforms(), LENGTHS)["c"]
    encoder.given.clear()
    for _ in range(2):
        assert torch.equal(small(encoder, IDS, waveforms(), LENGTHS)["c"], expected)
    assert encoder.given == [(1, 8000), (1, 5000), (1, 6400), (1, 5000), (1, 6400)]


def test_an_id_of_another_length_is_another_utterance(encoder: Counting) -> None:
    kept = FrozenFeatures(("c",))
    kept(encoder, ("a",), waveforms()[:1], LENGTHS[:1])
    kept(encoder, ("a",), waveforms()[:1, :5000], LENGTHS[1:2])
    assert encoder.given == [(1, 8000), (1, 5000)]
