"""Words in time: a long text is aligned in stretches as it is at once, words of any units, and what a wrong text is doubted by."""

import dataclasses
import itertools

import pytest
import torch

from foresay.contracts import Emissions, Hypothesis
from foresay.decoding.alignment import align
from foresay.decoding.greedy import best_path
from foresay.encoding import word_times
from foresay.encoding.word_times import Prior, align_text, words_of
from foresay.loading import load
from foresay.models.recognition.attention import AttentionRecognizer, AttentionSettings
from foresay.models.recognition.ctc import CTC, CTCSettings
from foresay.text.vocabulary import WORD
from reference.ctc_loops import drawn

HOP = 0.01


def _recognizer(units: str = "letters", symbols: tuple[str, ...] = ("<blank>", "|", "a", "b", "c")) -> CTC:
    return CTC(CTCSettings(symbols, units=units), load("logmel")).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(4))
def test_stretches_are_the_whole(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    recognizer = _recognizer()
    emissions = drawn(seed, utterances=1, frames=400, symbols=5, peak=3.0)
    (found,) = best_path(emissions, recognizer.text_of)
    whole = words_of(recognizer, emissions, found, 4.0)
    cuts = []
    monkeypatch.setattr(word_times, "STRETCH", 30)
    monkeypatch.setattr(word_times, "align", lambda *given: (cuts.append(given[0].log_probabilities.shape[1]), align(*given))[1])
    assert words_of(recognizer, emissions, found, 4.0) == whole
    assert sum(cuts) == 400
    assert max(cuts) < 60
    unknown = dataclasses.replace(found, frames=())  # a text that was not searched
    assert words_of(recognizer, emissions, unknown, 4.0) == whole


def test_no_stretch_is_too_short_for_its_symbols(monkeypatch: pytest.MonkeyPatch) -> None:
    recognizer = _recognizer("phones")
    emissions = drawn(0, utterances=1, frames=12, symbols=5)
    (found,) = best_path(emissions, recognizer.text_of)
    wrong = dataclasses.replace(found, text="a a a b", tokens=(2, 2, 2, 3), frames=(0, 1, 10, 11))  # a search sums over paths
    monkeypatch.setattr(word_times, "STRETCH", 1)
    words = words_of(recognizer, emissions, wrong, 0.12)
    assert [word.text for word in words] == ["a", "a", "a", "b"]
    assert all(before.end <= after.start for before, after in itertools.pairwise(words))


def test_words_of_subwords_and_phones() -> None:
    emissions = Emissions(
        torch.full((1, 6, 4), 0.1).scatter(2, torch.tensor([[[1], [2], [0], [3], [2], [0]]]), 0.7).log(), torch.tensor([6])
    )
    for units, texts in {"bpe": ["ab", "cb"], "phones": ["▁a", "b", "▁c", "b"]}.items():
        recognizer = _recognizer(units, ("<blank>", "▁a", "b", "▁c"))
        (found,) = best_path(emissions, recognizer.text_of)
        assert [word.text for word in words_of(recognizer, emissions, found, 1.0)] == texts


def test_times_lie_within_the_recording_and_doubt_is_zero_for_the_likeliest_text() -> None:
    recognizer = _recognizer()
    emissions = drawn(1, utterances=1, frames=50, symbols=5, peak=3.0)
    (found,) = best_path(emissions, recognizer.text_of)
    right = align_text(recognizer, emissions, found.tokens, 0.45)
    assert right.doubt == pytest.approx(0.0, abs=1e-5)
    assert right.words == words_of(recognizer, emissions, found, 0.45)
    assert max(word.end for word in right.words) == 0.45
    assert [symbol.text for symbol in right.symbols] == [*found.text.replace(" ", "")]
    other = tuple(5 - token if token > 1 else token for token in found.tokens if token != 4)
    wrong = align_text(recognizer, emissions, other, 0.45)
    assert wrong.doubt == pytest.approx((found.score - float(align(emissions, [other]).score)) / len(other), rel=1e-4)
    flat = align_text(recognizer, emissions, other, 0.45, Prior(torch.tensor([0.5, 0.2, 0.1, 0.1, 0.1]).log(), 1.0))
    assert flat.doubt == wrong.doubt
    assert flat.words != wrong.words


def spoken(path: list[int], symbols: int) -> Emissions:
    scores = torch.full((1, len(path), symbols), 0.02).scatter(2, torch.tensor(path)[None, :, None], 0.9)
    return Emissions(scores.log(), torch.tensor([len(path)]))


def made(*symbols: str, units: str) -> CTC:
    return CTC(CTCSettings(("<blank>", *symbols), units=units), load("logmel"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "model, path, hypothesis, expected",
    [
        (made("|", "a", "b", units="letters"), [2, 3, 1, 0, 3], Hypothesis("ab b", 0.0, (2, 3, 1, 3)), [("ab", 0, 2), ("b", 4, 5)]),
        (made("a", "b", units="phones"), [1, 0, 2], Hypothesis("a b", 0.0, (1, 2)), [("a", 0, 1), ("b", 2, 3)]),
        (
            made(WORD, f"{WORD}a", "b", units="bpe"),
            [2, 3, 0, 2, 1, 0, 1, 3],
            Hypothesis("ab a b", 0.0, (2, 3, 2, 1, 1, 3)),
            [("ab", 0, 2), ("a", 3, 4), ("b", 6, 8)],
        ),
        (
            made("|", "a", "b", units="letters"),
            [2, 3, 1, 0, 3],
            Hypothesis("first second", 0.0, (2, 3, 1, 3), ends=(3, 4)),
            [("first", 0, 2), ("second", 4, 5)],
        ),
        (made("|", "a", units="letters"), [0, 2], Hypothesis("", 0.0, (2,)), []),
    ],
)
def test_words_are_where_their_symbols_are(
    model: CTC, path: list[int], hypothesis: Hypothesis, expected: list[tuple[str, int, int]]
) -> None:
    words = words_of(model, spoken(path, len(model.symbols)), hypothesis, 1.0)
    first = model.first_center / model.sample_rate
    assert [word.text for word in words] == [text for text, _, _ in expected]
    starts = [max(first + (begin - 0.5) * HOP, 0.0) for _, begin, _ in expected]
    assert [word.start for word in words] == pytest.approx(starts)
    assert [word.end for word in words] == pytest.approx([first + (end - 0.5) * HOP for _, _, end in expected])


@pytest.mark.parametrize("path, frames", [([2, 3, 1, 0, 3], [(0, 2), (4, 5)]), ([2, 3, 1], [(0, 3), (2, 3)])])
def test_what_attention_spells_is_aligned_by_its_ctc_where_that_has_frames_enough(
    path: list[int], frames: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = AttentionRecognizer(AttentionSettings(("<blank>", "|", "a", "b"), listener=4, speller=4), load("logmel"))
    emissions = spoken(path, 4)
    monkeypatch.setattr(model, "ctc", lambda encoded: Emissions(encoded.frames, encoded.lengths))
    own = {"frames": (0, 2, 2, 2), "stops": (1, 3, 3, 3), "confidences": (0.9, 0.4, 0.5, 0.8)}
    words = words_of(model, emissions, Hypothesis("ab b", 0.0, (2, 3, 1, 3), **own), 9.0)  # type: ignore[arg-type]
    hop, first = model.hop("encoded") / model.sample_rate, model.first_center / model.sample_rate
    assert [(word.start, word.end) for word in words] == [
        (pytest.approx(max(first + (begin - 0.5) * hop, 0.0)), pytest.approx(first + (end - 0.5) * hop)) for begin, end in frames
    ]
    assert [word.confidence for word in words] == [pytest.approx(0.6), pytest.approx(0.8)]
