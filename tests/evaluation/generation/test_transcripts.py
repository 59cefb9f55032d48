"""Samples that are spoken and transcribed: by a vocoder that speaks levels, and a recognizer that writes them as words."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from foresay.contracts import Encoded, Synthesized, Tokens
from foresay.errors import UserError
from foresay.evaluation.generation import _transcripts
from foresay.evaluation.generation._transcripts import TranscriptScorer
from foresay.models.generation.ngram import NGram, NGramSettings
from foresay.text.perplexity import perplexity
from reference.toy_token_model import HOP, UNITS, Levels, toy_model

SCORER = TranscriptScorer("runs/vocoder", "", "runs/asr", "runs/lm.arpa")


class Speaker:
    names = ("ada", "leo")

    def of_names(self, names: list[str]) -> Tensor:
        if not set(names) <= set(self.names):
            msg = f"unknown voice: {names}"
            raise UserError(msg)
        return torch.tensor([[float(self.names.index(name)), 1.0] for name in names])


class LevelVocoder:
    """Speaks every unit for a frame."""

    sample_rate = 16_000

    def __init__(self) -> None:
        self.speaker = Speaker()
        self.voices: list[float] = []

    def synthesize(self, tokens: Tokens, voices: Tensor) -> Synthesized:
        tokens.require("levels", "this vocoder")
        self.voices += voices[:, 0].tolist()
        levels = (tokens.ids[:, 0].float() + 0.5) / UNITS
        return Synthesized(levels.repeat_interleave(HOP, dim=1), tokens.lengths * HOP)


class Written:
    """Writes each level that is new, as a word."""

    def __init__(self, recognizer: Any, settings: object, device: str) -> None:  # noqa: ANN401, ARG002
        self.recognizer = recognizer

    def __call__(self, encoded: Encoded) -> list[list[SimpleNamespace]]:
        words = []
        for frames, length in zip(encoded.frames, encoded.lengths.tolist(), strict=True):
            units = (frames[:length, 0] * UNITS).floor().long()
            words.append([SimpleNamespace(text=" ".join(f"w{unit}" for unit in torch.unique_consecutive(units).tolist()))])
        return words


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> NGram:
    """Let the paths lead to these."""
    model = NGram(NGramSettings(2)).eval()
    model.learn(["w0 w1 w2", "w1 w2 w3", "w2 w0"])
    recognizer = Levels()
    recognizer.normalization = None  # type: ignore[assignment]
    loaded = {"runs/vocoder": LevelVocoder(), "runs/asr": recognizer}
    for name, value in {
        "load": lambda path, _: loaded[path],
        "load_language_model": lambda path, _: {SCORER.language_model: model}[path],
        "Decoder": Written,
        "Synthesizer": LevelVocoder,
        "Recognizer": Levels,
    }.items():
        monkeypatch.setattr(_transcripts, name, value)
    return model


def test_words_and_what_they_cost(judge: NGram) -> None:
    samples = {"temperature 1": [torch.tensor(units) for units in ([0, 1, 2], [3], [], [2, 0, 5, 1])], "recorded": [torch.tensor([1, 2])]}
    texts, scored = SCORER.transcripts(toy_model("0 1"), samples, "cpu")
    assert texts == {"temperature 1": [["w0", "w1", "w2"], ["w3"], [], ["w2", "w0", "w5", "w1"]], "recorded": [["w1", "w2"]]}
    for name, words in texts.items():
        assert scored[name][1].tolist() == [len(one) + 1 for one in words]
        for one, nats in zip(words, scored[name][0], strict=True):
            if one:
                found = perplexity(judge, [one], len(one))
                assert nats == pytest.approx(found.nats + found.nats_unknown + found.nats_ends)
            else:
                assert nats == pytest.approx(-float(judge.end(torch.tensor([judge.start]))))


def test_who_speaks(judge: NGram) -> None:  # noqa: ARG001
    for voice, number in (("", 0.0), ("leo", 1.0)):
        scorer = TranscriptScorer("runs/vocoder", voice, "runs/asr", "runs/lm.arpa")
        scorer.transcripts(toy_model("0 1"), {"x": [torch.tensor([1])]}, "cpu")
        assert _transcripts.load("runs/vocoder", "cpu").voices[-1] == number
    with pytest.raises(UserError, match="unknown voice"):
        TranscriptScorer("runs/vocoder", "eve", "runs/asr", "runs/lm.arpa").transcripts(toy_model("0 1"), {"x": [torch.tensor([1])]}, "cpu")


def test_a_vocoder_of_no_names_and_a_language_model_of_other_texts_are_refused(judge: NGram, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = {"x": [torch.tensor([1])]}
    with monkeypatch.context() as patch:
        patch.setattr(Speaker, "names", ())
        with pytest.raises(UserError, match="runs/vocoder knows no voice by name"):
            SCORER.transcripts(toy_model("0 1"), samples, "cpu")
    monkeypatch.setattr(type(judge), "normalization", "en")
    monkeypatch.setattr(_transcripts.load("runs/asr", "cpu"), "normalization", "de")
    with pytest.raises(UserError, match="runs/lm.arpa is of texts normalized by 'en', and these are normalized by 'de'"):
        SCORER.transcripts(toy_model("0 1"), samples, "cpu")


def test_another_kind_of_model_is_refused(judge: NGram) -> None:  # noqa: ARG001
    with pytest.raises(UserError, match="runs/asr is a Levels, and must be a LevelVocoder"):
        TranscriptScorer("runs/asr", "", "runs/asr", "runs/lm.arpa").transcripts(toy_model("0 1"), {"x": [torch.tensor([1])]}, "cpu")


def test_their_files_count(tmp_path: Path) -> None:
    for name in ("vocoder", "asr"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.toml").write_text("")
        (tmp_path / name / "model.safetensors").write_text("")
    scorer = TranscriptScorer(str(tmp_path / "vocoder"), "", str(tmp_path / "asr"), str(tmp_path / "lm.arpa"))
    assert {file.parent.name for file in scorer.files} == {"vocoder", "asr", tmp_path.name}
    assert len(scorer.files) == 5
    assert TranscriptScorer("hf:some/vocoder", "", str(tmp_path / "asr"), "lm.arpa").files == [*scorer.files[2:4], Path("lm.arpa")]
    assert TranscriptScorer.of("", "", "", "") is None
    assert TranscriptScorer.of("vocoder", "voice", "recognizer", "language model") == TranscriptScorer(
        "vocoder", "voice", "recognizer", "language model"
    )
