"""A recognizer that searches itself: transcribed with the times that it gives, fused with a model of its symbols, refused what it lacks."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from foresay.contracts import Batch, Encoded, Frames, Fusion, Hypothesis, Losses, SearchingRecognizer
from foresay.corpora.item import Item
from foresay.corpora.manifest import Manifest, write_manifest
from foresay.decoding.fusion import ShallowFusion
from foresay.decoding.weights import Weights
from foresay.encoding.searches import Decoder, SearchSettings
from foresay.encoding.transcripts import transcribed
from foresay.errors import UserError
from foresay.text.vocabulary import Vocabulary
from foresay.workflows.align_with import align_corpus_with
from reference.toy_language import ToyLanguageModel

SYMBOLS = ("<blank>", "|", "a", "b")


class Echo(SearchingRecognizer):
    """It writes "a b" in every utterance, a symbol in each of its last three frames; its frames are sums of 160 samples."""

    symbols = SYMBOLS
    boundary = 1
    sample_rate = 16000
    receptive_field, first_center = 160, 80

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[int, int, Fusion | None]] = []

    def forward(self, batch: Batch, step: int, phase: str = "train") -> Losses:
        raise NotImplementedError

    def normalized(self, text: str) -> str:
        return text

    def missing(self, text: str) -> Mapping[str, int]:  # noqa: ARG002 - nothing is
        return {}

    def text_of(self, tokens: Sequence[int]) -> str:
        return Vocabulary(SYMBOLS, "letters").decode(tokens)

    def frame_count(self, lengths: Tensor, layer: str) -> Tensor:  # noqa: ARG002 - there is one
        return lengths // 160

    def features(self, waveforms: Tensor, lengths: Tensor, layers: Sequence[str] | None = None) -> Frames:  # noqa: ARG002 - there is one
        counts = self.frame_count(lengths, "encoded")
        frames = waveforms[:, : int(counts.max()) * 160].unflatten(1, (-1, 160)).sum(-1, keepdim=True)
        return Frames({"encoded": frames}, {"encoded": counts}, {"encoded": 100.0})

    def search(self, encoded: Encoded, *, beam: int = 1, best: int = 1, fusion: Fusion | None = None) -> list[list[Hypothesis]]:
        self.asked.append((beam, best, fusion))
        found = []
        for frames in encoded.lengths.tolist():
            begins = tuple(range(frames - 3, frames))
            stops = tuple(begin + 1 for begin in begins)
            found.append([Hypothesis("a b", -1.0, (2, 1, 3), begins, stops=stops, confidences=(0.9, 0.5, 0.4))])
        return found


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
    echo = Echo()
    found = {one.id: one for one in transcribed(Decoder(echo, SearchSettings()), manifest, "cpu")}
    assert {name: one.text for name, one in found.items()} == {"long": "a b", "short": "a b"}
    for name, end in (("long", 0.5), ("short", 0.3)):
        words = found[name].words
        assert [word.text for word in words] == ["a", "b"]
        assert [(word.start, word.end) for word in words] == [
            (pytest.approx(end - 0.03), pytest.approx(end - 0.02)),
            (pytest.approx(end - 0.01), pytest.approx(end)),
        ]
        assert [word.confidence for word in words] == pytest.approx([0.9, 0.4])
    assert echo.asked == [(1, 1, None)]


def test_a_beam_is_the_recognizers_own(manifest: Manifest) -> None:
    echo = Echo()
    list(transcribed(Decoder(echo, SearchSettings(beam=7)), manifest, "cpu", best=3))
    assert echo.asked == [(7, 3, None)]


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
