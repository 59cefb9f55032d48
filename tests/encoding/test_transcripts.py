"""Words in time: of letters, of subwords, and of a search for words."""

import pytest
import torch

from foresay.contracts import Emissions, Hypothesis
from foresay.encoding.transcripts import words_of
from foresay.loading import load
from foresay.models.recognition.ctc import CTC, CTCSettings
from foresay.text.vocabulary import WORD

HOP = 0.01


def spoken(path: list[int], symbols: int) -> Emissions:
    scores = torch.full((1, len(path), symbols), 0.02).scatter(2, torch.tensor(path)[None, :, None], 0.9)
    return Emissions(scores.log(), torch.tensor([len(path)]))


def recognizer(*symbols: str, units: str) -> CTC:
    return CTC(CTCSettings(("<blank>", *symbols), units=units), load("logmel"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "model, path, hypothesis, expected",
    [
        (recognizer("|", "a", "b", units="letters"), [2, 3, 1, 0, 3], Hypothesis("ab b", 0.0, (2, 3, 1, 3)), [("ab", 0, 2), ("b", 4, 5)]),
        (recognizer("a", "b", units="phones"), [1, 0, 2], Hypothesis("a b", 0.0, (1, 2)), [("a", 0, 1), ("b", 2, 3)]),
        (
            recognizer(WORD, f"{WORD}a", "b", units="bpe"),
            [2, 3, 0, 2, 1, 0, 1, 3],
            Hypothesis("ab a b", 0.0, (2, 3, 2, 1, 1, 3)),
            [("ab", 0, 2), ("a", 3, 4), ("b", 6, 8)],
        ),
        (
            recognizer("|", "a", "b", units="letters"),
            [2, 3, 1, 0, 3],
            Hypothesis("first second", 0.0, (2, 3, 1, 3), ends=(3, 4)),
            [("first", 0, 2), ("second", 4, 5)],
        ),
        (recognizer("|", "a", units="letters"), [0, 2], Hypothesis("", 0.0, (2,)), []),
    ],
)
def test_words_are_where_their_symbols_are(
    model: CTC, path: list[int], hypothesis: Hypothesis, expected: list[tuple[str, int, int]]
) -> None:
    words = words_of(model, spoken(path, len(model.symbols)), hypothesis)
    first = model.first_center / model.sample_rate
    assert [word.text for word in words] == [text for text, _, _ in expected]
    starts = [max(first + (begin - 0.5) * HOP, 0.0) for _, begin, _ in expected]
    assert [word.start for word in words] == pytest.approx(starts)
    assert [word.end for word in words] == pytest.approx([first + (end - 0.5) * HOP for _, _, end in expected])
