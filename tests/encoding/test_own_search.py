"""A recognizer without emissions: transcribed with the times of its search, fused with a model of its symbols, refused what it lacks."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from foresay.contracts import Batch, Encoded, Frames, Losses, TransducingRecognizer
from foresay.corpora.item import Item
from foresay.corpora.manifest import Manifest, write_manifest
from foresay.decoding.fusion import ShallowFusion
from foresay.decoding.weights import Weights
from foresay.encoding.search_settings import SearchSettings
from foresay.encoding.searches import Decoder
from foresay.encoding.transcripts import transcribed
from foresay.errors import UserError
from foresay.text.vocabulary import Orthography, Vocabulary
from foresay.workflows.align_with import align_corpus_with
from reference.toy_language import ToyLanguageModel

SYMBOLS = ("<blank>", "|", "a", "b")


ROWS = torch.tensor([[0.9997, 0.0001, 0.0001, 0.0001], [0.05, 0.03, 0.9, 0.02], [0.2, 0.6, 0.1, 0.1], [0.2, 0.2, 0.1, 0.5]])
"""p of the symbols: nothing; a; the boundary; b."""


class Counting:
    """A joint network that counts what was written; a frame holds the log p of the symbols, and after how many of them it writes so."""

    def start(self, count: int) -> Tensor:
        return torch.zeros(count, 1)

    def advance(self, states: Tensor, symbols: Tensor) -> Tensor:  # noqa: ARG002 - whatever they are
        return states + 1

    def scores(self, frames: Tensor, states: Tensor) -> Tensor:
        return torch.where(frames[:, 4:] == states, frames[:, :4], ROWS[0].log())


class Echo(TransducingRecognizer):
    """It writes "a b" in every utterance, a symbol in each of its last three frames, which are 160 samples long."""

    symbols, writing = SYMBOLS, Orthography(Vocabulary(SYMBOLS, "letters"), "plain", "refuse")
    boundary = 1
    sample_rate = 16000
    receptive_field, first_center = 160, 80
    joint = Counting()

    def forward(self, batch: Batch, step: int, phase: str = "train") -> Losses:
        raise NotImplementedError

    def frame_count(self, lengths: Tensor, layer: str) -> Tensor:  # noqa: ARG002 - there is one
        return lengths // 160

    def features(self, waveforms: Tensor, lengths: Tensor, layers: Sequence[str] | None = None) -> Frames:  # noqa: ARG002 - there is one
        counts = self.frame_count(lengths, "encoded")
        frames = torch.zeros(len(waveforms), int(counts.max()), 5)
        frames[..., :4] = ROWS[0].log()
        for row, count in enumerate(counts.tolist()):
            frames[row, count - 3 : count] = torch.cat([ROWS[1:].log(), torch.arange(3.0)[:, None]], 1)
        return Frames({"encoded": frames}, {"encoded": counts}, {"encoded": 100.0})


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """Make two recordings, of 0.5 and 0.3 s."""
    items = []
    for name, seconds in (("long", 0.5), ("short", 0.3)):
        soundfile.write(tmp_path / f"{name}.wav", np.full(int(16000 * seconds), 0.1), 16000)
        items.append(Item(name, audio=tmp_path / f"{name}.wav", duration=seconds, sample_rate=16000, text="a b"))
    write_manifest(tmp_path / "m.jsonl", items)
    return Manifest.open(tmp_path / "m.jsonl")


def test_words_are_where_the_recognizer_says(manifest: Manifest) -> None:
    found = {one.id: one for one in transcribed(Decoder(Echo(), SearchSettings()), manifest, "cpu")}
    assert {name: one.text for name, one in found.items()} == {"long": "a b", "short": "a b"}
    for name, end in (("long", 0.5), ("short", 0.3)):
        words = found[name].words
        assert [word.text for word in words] == ["a", "b"]
        assert [(word.start, word.end) for word in words] == [
            (pytest.approx(end - 0.03), pytest.approx(end - 0.02)),
            (pytest.approx(end - 0.01), pytest.approx(end)),
        ]
        assert [word.confidence for word in words] == pytest.approx([0.9, 0.5])


def test_a_beam_finds_more_and_none_better() -> None:
    echo, lengths = Echo(), torch.tensor([8000])
    frames = echo.features(torch.zeros(1, 8000), lengths)
    encoded = Encoded(frames.values["encoded"], frames.lengths["encoded"])
    ((one,),) = Decoder(echo, SearchSettings())(encoded, 3)
    (several,) = Decoder(echo, SearchSettings(beam=7))(encoded, 3)
    assert len(several) == 3
    assert several[0].text == one.text == "a b"
    assert several[0].score >= several[1].score >= several[2].score


def test_fusion_is_a_log_p_and_b_where_a_word_begins() -> None:
    model, last = ToyLanguageModel(SYMBOLS[1:]), torch.tensor([0, 1, 2])
    fusion = ShallowFusion(SYMBOLS, model, Weights(0.5, -2.0), 1, {0})
    states = torch.full((3,), fusion.start)
    added, said, after = fusion.following(last, states)
    for row, before in enumerate(last.tolist()):
        for symbol in (1, 2, 3):
            score, state = model.advance(states[:1], torch.tensor([symbol - 1]))
            assert float(said[row, symbol]) == pytest.approx(float(score))
            assert int(after[row, symbol]) == int(state)
            begins = symbol > 1 and before in {0, 1}
            assert float(added[row, symbol]) == pytest.approx(0.5 * float(score) - 2.0 * begins)
    end, said_of_end = fusion.end(states[:1])
    assert float(said_of_end) == pytest.approx(float(model.end(states[:1])))
    assert float(end) == pytest.approx(0.5 * float(said_of_end))


def test_what_its_search_cannot_take_is_refused(tmp_path: Path, manifest: Manifest) -> None:
    (tmp_path / "words.txt").write_text("a\n")
    for settings, what in (
        (SearchSettings(lexicon=str(tmp_path / "words.txt")), "lexicon"),
        (SearchSettings(hot_words=str(tmp_path / "words.txt"), hot_weight=1.0), "hot words"),
    ):
        with pytest.raises(UserError, match=f"Echo writes symbol by symbol, in a search that takes no {what}"):
            Decoder(Echo(), settings)
    with pytest.raises(UserError, match="Echo emits no symbols frame by frame"):
        align_corpus_with(Echo(), manifest.path, tmp_path / "aligned.jsonl")
