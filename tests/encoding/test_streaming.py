"""A recognizer, or a transducer, on a causal encoder transcribes as audio arrives; a long recording in parts is as at once."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from foresay.contracts import Emissions, Encoded, Recognizer
from foresay.corpora.manifest import Item, Manifest, write_manifest
from foresay.decoding.greedy import GreedyStream, best_path
from foresay.decoding.prefix_beam import PrefixBeam
from foresay.decoding.prefix_stream import PrefixStream
from foresay.decoding.transducer_frame_beam import TransducerFrameBeam
from foresay.encoding import parts
from foresay.encoding.search_settings import SearchSettings
from foresay.encoding.searches import Decoder
from foresay.encoding.streaming import RecognitionStream
from foresay.encoding.transcripts import encoded_of
from foresay.errors import UserError
from foresay.loading import load
from foresay.models.recognition.ctc import CTC, CTCSettings
from foresay.models.recognition.transducer import Transducer, TransducerSettings
from foresay.models.representation.cpc import CPC, CPCSettings
from foresay.models.representation.hubert import HuBERT, HuBERTSettings

SYMBOLS = ("<blank>", "|", "a", "b", "c")
RATE = 16_000


def _recognizer(**changed: object) -> CTC:
    torch.manual_seed(0)
    encoder = CPC(CPCSettings(channels=32, context_size=32, context_layers=1))
    model = CTC(CTCSettings(SYMBOLS, **changed), encoder).eval()  # type: ignore[arg-type]
    with torch.no_grad():
        model.head.weight.normal_(std=3.0)
    return model


@pytest.mark.parametrize("changed", [{}, {"stack": 3}, {"layer": "z"}, {"layer": "sum"}])
@torch.no_grad()
def test_a_stream_writes_the_text_of_the_whole(changed: dict[str, object]) -> None:
    recognizer = _recognizer(**changed)
    samples = 0.3 * torch.randn(6_400)
    emissions = recognizer.emissions(samples[None], torch.tensor([len(samples)]))
    (whole,) = best_path(emissions, recognizer.text_of)
    assert len(whole.tokens) > 1
    for sizes in ([6_400], [1, 7, 465, 2000, 3_927], [160] * 40):
        stream = RecognitionStream(recognizer, GreedyStream(recognizer.text_of))
        prefixes = [stream.push(chunk) for chunk in samples.split(sizes)]
        found = stream.finish()
        assert (found.tokens, found.frames) == (whole.tokens, whole.frames)
        assert found.score == pytest.approx(whole.score, abs=0.1)
        assert all(whole.text.startswith(prefix.text) for prefix in prefixes)
        assert len(sizes) < 40 or 0 < len(prefixes[30].tokens) <= len(whole.tokens)


def _transducer(**changed: object) -> Transducer:
    torch.manual_seed(0)
    encoder = CPC(CPCSettings(channels=32, context_size=32, context_layers=1))
    model = Transducer(TransducerSettings(SYMBOLS, prediction=16, joint=24, **changed), encoder).eval()  # type: ignore[arg-type]
    with torch.no_grad():
        model.projection.weight.normal_(std=3.0)
        model.joint.output.weight.normal_(std=1.0)
        model.joint.output.bias[0] -= 2
    return model


@pytest.mark.parametrize("changed", [{}, {"predictor": "lstm", "stack": 3}, {"layer": "z", "stack": 4}])
@pytest.mark.parametrize("beam", [None, 4])
@torch.no_grad()
def test_a_transducer_streams_the_text_of_the_whole(changed: dict[str, object], beam: int | None) -> None:
    recognizer, samples = _transducer(**changed), 0.3 * torch.randn(6_400)
    frames = recognizer.features(samples[None], torch.tensor([6_400]))
    encoded = Encoded(frames.values["encoded"], frames.lengths["encoded"])
    decoder = Decoder(recognizer, SearchSettings(beam=beam))
    if beam is None:
        whole = decoder(encoded)[0][0]
    else:  # it goes frame by frame, and so needs no end
        search = PrefixStream(TransducerFrameBeam(recognizer.joint, beam=beam), recognizer.text_of)
        search.push(encoded)
        whole = search.finish()
    assert len(whole.tokens) > 1
    for sizes in ([6_400], [1, 7, 465, 2000, 3_927], [160] * 40):
        stream = decoder.stream()
        prefixes = [stream.push(chunk) for chunk in samples.split(sizes)]
        found = stream.finish()
        assert (found.tokens, found.frames) == (whole.tokens, whole.frames)
        assert found.score == pytest.approx(whole.score, abs=0.1)
        assert all(whole.text.startswith(prefix.text) for prefix in prefixes)
        assert beam or len(sizes) < 40 or prefixes[-1].tokens  # before the end


@torch.no_grad()
def test_a_beam_streams_too() -> None:
    recognizer = _recognizer()
    samples = 0.3 * torch.randn(8_000)
    search = PrefixBeam(SYMBOLS, beam=8)
    ((whole,),) = search(recognizer.emissions(samples[None], torch.tensor([8_000])), recognizer.text_of)
    stream = RecognitionStream(recognizer, PrefixStream(search, recognizer.text_of))
    for chunk in samples.split(1000):
        stream.push(chunk)
    assert stream.finish().tokens == whole.tokens


def test_what_looks_ahead_is_refused_with_the_reason() -> None:
    recognizer: Recognizer
    for recognizer, reason in (
        (_recognizer(lstm=8), "model.lstm looks at the whole utterance"),
        (_recognizer(cmvn=True), "model.cmvn looks at the whole utterance"),
        (_transducer(lstm=8), "model.lstm looks at the whole utterance"),
        (_transducer(cmvn=True), "model.cmvn looks at the whole utterance"),
        (CTC(CTCSettings(SYMBOLS), load("logmel")), "LogMel looks at the whole utterance and cannot stream"),
    ):
        with pytest.raises(UserError, match=f"{reason}.*no text would be certain before its end.*cpc, acpc"):
            RecognitionStream(recognizer, GreedyStream(recognizer.text_of))
    with pytest.raises(UserError, match="nothing was pushed"):
        RecognitionStream(_recognizer(), GreedyStream(letters_of)).finish()


def letters_of(tokens: object) -> str:
    return str(tokens)


def _written(folder: Path, seconds: float) -> Manifest:
    noise = 0.1 * np.random.default_rng(0).normal(size=round(seconds * RATE))
    soundfile.write(folder / "long.wav", noise, RATE)
    write_manifest(folder / "long.jsonl", [Item("long", audio=folder / "long.wav", duration=seconds, sample_rate=RATE)])
    return Manifest.open(folder / "long.jsonl")


def _whole(recognizer: CTC, manifest: Manifest) -> Emissions:
    waveform = torch.from_numpy(manifest.read(0, RATE))[None]
    with torch.no_grad():
        return recognizer.eval().emissions(waveform, torch.tensor([waveform.shape[1]]))


@pytest.mark.parametrize("kind", ["causal", "stacked", "layer norm"])
def test_parts_of_a_long_recording_emit_what_the_whole_does(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To 1e-3: of a causal encoder, whose state is carried; of layer-normed convolutions, whose receptive field fits into the context."""
    monkeypatch.setattr(parts, "PART", 0.5)
    manifest = _written(tmp_path, 2.3)
    if kind.startswith("layer"):
        torch.manual_seed(0)
        settings = HuBERTSettings(norm="layer", pre_norm=True, size=16, layers=1, heads=2, inner=16, classes=4)
        recognizer = CTC(
            CTCSettings(SYMBOLS, layer="L0"), HuBERT(settings)
        ).eval()  # before the first attention, which is over all there is
        monkeypatch.setattr(parts, "CONTEXT", 1.5)
    else:
        recognizer = _recognizer(**({"stack": 2} if kind == "stacked" else {}))
        monkeypatch.setattr(parts, "CONTEXT", 0.1)
    whole = _whole(recognizer, manifest)
    ((_, encoded),) = encoded_of(recognizer, manifest, "cpu")
    found = Emissions(*encoded)
    assert found.lengths.tolist() == whole.lengths.tolist()
    torch.testing.assert_close(found.log_probabilities, whole.log_probabilities, atol=1e-3, rtol=0)
    assert best_path(found, recognizer.text_of)[0].tokens == best_path(whole, recognizer.text_of)[0].tokens


def test_a_transducer_encodes_a_long_recording_as_it_arrives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART", 0.5)
    monkeypatch.setattr(parts, "CONTEXT", 0.1)
    recognizer, manifest = _transducer(stack=4), _written(tmp_path, 2.3)
    waveform = torch.from_numpy(manifest.read(0, RATE))[None]
    with torch.no_grad():
        whole = recognizer.features(waveform, torch.tensor([waveform.shape[1]]))
    ((_, encoded),) = encoded_of(recognizer, manifest, "cpu")
    assert encoded.lengths.tolist() == whole.lengths["encoded"].tolist()
    torch.testing.assert_close(encoded.frames, whole.values["encoded"], atol=1e-3, rtol=1e-3)
