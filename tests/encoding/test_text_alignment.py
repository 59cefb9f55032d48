"""A known text in audio, by each kind of recognizer: shares and best path by enumeration, words where their symbols are."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from foresay.contracts import Emissions, Encoded, FeatureExtractor, Recognizer
from foresay.decoding.state_alignment import StateChain, state_posteriors
from foresay.encoding.text_alignment import TextAlignment, text_alignment
from foresay.errors import UserError
from foresay.loading import load
from foresay.models.recognition.attention import AttentionRecognizer, AttentionSettings
from foresay.models.recognition.ctc import CTC, CTCSettings
from foresay.models.recognition.transducer import Transducer, TransducerSettings
from reference.ctc_loops import drawn
from reference.spelling_loops import ToySpeller
from reference.toy_states import STATES, ToyStates, spoken
from reference.transducer_loops import best_alignment_of, shares

SYMBOLS = ("<blank>", "|", "a", "b")
TEXT, TOKENS = "ab a", (2, 3, 1, 2)


class ToyAttention(AttentionRecognizer):
    """Attends at random, the same in every test."""

    def speller(self, encoded: Encoded) -> ToySpeller:  # type: ignore[override]
        return ToySpeller(encoded.lengths.tolist(), len(SYMBOLS))


@pytest.fixture(scope="module")
def logmel() -> FeatureExtractor:
    model = load("logmel")
    assert isinstance(model, FeatureExtractor)
    return model


@pytest.fixture(scope="module")
def ctc(logmel: FeatureExtractor) -> CTC:
    return CTC(CTCSettings(SYMBOLS), logmel).eval()


@pytest.fixture(scope="module")
def attention(logmel: FeatureExtractor) -> ToyAttention:
    sizes = {"listener": 4, "listener_layers": 1, "halvings": 0, "speller": 4, "embedding": 2, "energies": 2}
    return ToyAttention(AttentionSettings(SYMBOLS, **sizes), logmel).eval()  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def transducer(logmel: FeatureExtractor) -> Transducer:
    torch.manual_seed(0)
    return Transducer(TransducerSettings(SYMBOLS, prediction=6, joint=6), logmel).eval()


def times(model: Recognizer, found: TextAlignment) -> list[tuple[str, int, int]]:
    """From seconds back to frames."""
    hop, first = model.hop(model.layer_names[0]) / model.sample_rate, model.first_center / model.sample_rate
    return [(word.text, *(round((edge - first) / hop + 0.5) for edge in (word.start, word.end))) for word in found.words]


def test_of_emissions_by_enumeration(ctc: CTC) -> None:
    emissions = drawn(2, utterances=1, frames=7, symbols=4)
    states = [0, *(state for token in TOKENS for state in (token, 0))]
    scored = {}
    for path in itertools.product(range(3), repeat=6):  # steps up after the first frame
        for first in (0, 1):
            rows = [first + sum(path[:t]) for t in range(7)]
            leaps = [row for step, row in zip(path, rows[1:], strict=True) if step > 1]
            if rows[-1] in {7, 8} and all(row % 2 and states[row] != states[row - 2] for row in leaps):
                scored[tuple(rows)] = sum(float(emissions.log_probabilities[0, t, states[row]]) for t, row in enumerate(rows))
    total = sum(map(math.exp, scored.values()))
    expected = torch.zeros(7, 9)
    for rows, score in scored.items():
        expected[range(7), rows] += math.exp(score) / total
    found = text_alignment(ctc, emissions, TEXT, 1.0)
    assert found.rows == ("", "a", "", "b", "", "|", "", "a", "")
    torch.testing.assert_close(found.shares, expected, atol=1e-5, rtol=1e-4)
    best = max(scored, key=lambda rows: scored[rows])
    assert tuple(found.path.tolist()) == best
    inside = [[t for t, row in enumerate(best) if row in rows] for rows in ((1, 3), (7,))]
    assert times(ctc, found) == [("ab", inside[0][0], inside[0][-1] + 1), ("a", inside[1][0], inside[1][-1] + 1)]


def test_blanks_belong_to_the_row_between_their_symbols(ctc: CTC) -> None:
    path = torch.tensor([[0, 2, 0, 0, 3, 1, 0, 2, 2, 0]])
    emissions = Emissions(torch.full((1, 10, 4), 0.01).scatter(2, path[..., None], 0.97).log(), torch.tensor([10]))
    assert text_alignment(ctc, emissions, TEXT, 1.0).path.tolist() == [0, 1, 2, 2, 3, 5, 6, 7, 7, 8]


def test_of_a_transducer_by_enumeration(transducer: Transducer) -> None:
    encoded = Encoded(3 * torch.randn(1, 6, 6, generator=torch.Generator().manual_seed(3)), torch.tensor([5]))  # the last frame is padding
    real = Encoded(encoded.frames[:, :5], torch.tensor([5]))
    with torch.no_grad():
        rows = transducer.logits(real, [TEXT])[0][0].log_softmax(-1)
    found = text_alignment(transducer, encoded, TEXT, 1.0)
    assert found.rows == ("", "a", "b", "|", "a")
    torch.testing.assert_close(found.shares, sum(shares(rows.tolist(), TOKENS), torch.zeros(5, 5)).float(), atol=1e-5, rtol=1e-4)
    when = best_alignment_of(rows.tolist(), TOKENS)
    assert found.path.tolist() == [sum(frame <= t for frame in when) for t in range(5)]
    assert times(transducer, found) == [("ab", when[0], when[1] + 1), ("a", when[3], when[3] + 1)]
    written = [rows[frame, place, token].exp().item() for place, (frame, token) in enumerate(zip(when, TOKENS, strict=True))]
    assert [word.confidence for word in found.words] == pytest.approx([math.sqrt(written[0] * written[1]), written[3]], rel=1e-4)


def test_of_attention_by_enumeration(attention: ToyAttention) -> None:
    speller, encoded = ToySpeller([5], 4), Encoded(torch.zeros(1, 5, 8), torch.tensor([5]))
    state, attended, chosen = 0, list[Tensor](), []
    for before, token in zip((0, *TOKENS), TOKENS, strict=False):
        state = 4 * state + before
        scores, weights = speller.drawn(0, state)
        attended.append(weights)
        chosen.append(float(scores[token].exp()))
    found = text_alignment(attention, encoded, TEXT, 1.0)
    assert found.rows == ("a", "b", "|", "a")
    torch.testing.assert_close(found.shares, torch.stack(attended, 1))
    rising = itertools.combinations_with_replacement(range(5), 4)
    best = max(rising, key=lambda frames: sum(math.log(attended[u][t]) for u, t in enumerate(frames)))
    assert found.path.tolist() == [max(sum(frame <= t for frame in best) - 1, 0) for t in range(5)]
    assert times(attention, found) == [("ab", best[0], best[1] + 1), ("a", best[3], best[3] + 1)]
    assert [word.confidence for word in found.words] == pytest.approx([math.sqrt(chosen[0] * chosen[1]), chosen[3]], rel=1e-4)


def test_of_states_in_the_pronunciation_that_is_spoken() -> None:
    model = ToyStates({"one": (("a",), ("b", "t")), "two": (("a",),)})
    said = [0, *STATES[2], STATES[2][-1], *STATES[3], 0, *STATES[1], 0]
    waveforms = spoken(said)
    frames = model.features(waveforms, torch.tensor([waveforms.shape[1]]))
    found = text_alignment(model, Encoded(frames.values["likelihoods"], frames.lengths["likelihoods"]), "one two", 1.0)
    sizes = [len(STATES[symbol]) for symbol in (0, 1, 2, 3, 0, 1, 0)]
    names = ("", "a", "b", "t", "", "a", "")
    assert found.rows == tuple(name if not n else "" for name, size in zip(names, sizes, strict=True) for n in range(size))
    first = [sum(sizes[:place]) for place in range(7)]
    steps = [0, *range(first[2], first[3]), first[3] - 1, *range(first[3], first[4]), first[4], *range(first[5], first[6]), first[6]]
    assert found.path.tolist() == steps
    torch.testing.assert_close(found.shares.sum(1), torch.ones(len(said)))
    chain = StateChain.of([model.pronounce("one"), model.pronounce("two")], model.topology)
    scaled = Encoded(0.5 * frames.values["likelihoods"], frames.lengths["likelihoods"])  # by model.scale
    torch.testing.assert_close(found.shares, state_posteriors(scaled, [chain], model.topology)[0])
    assert (found.shares.argmax(1) == found.path).all()
    one = (1, 2 + len(STATES[2]) + len(STATES[3]))
    assert times(model, found) == [("one", *one), ("two", one[1] + 1, one[1] + 1 + len(STATES[1]))]
    assert found.words[0].confidence == pytest.approx(float(found.shares[range(*one), steps[one[0] : one[1]]].mean()))


def test_of_states_without_a_lexicon_a_symbol_is_a_word() -> None:
    model = ToyStates()
    waveforms = spoken([*STATES[1], 0, *STATES[2]])
    frames = model.features(waveforms, torch.tensor([waveforms.shape[1]]))
    encoded = Encoded(frames.values["likelihoods"], frames.lengths["likelihoods"])
    assert [word.text for word in text_alignment(model, encoded, "a b", 1.0).words] == ["a", "b"]
    with pytest.raises(UserError, match="'three' is not in the recognizer's lexicon"):
        text_alignment(ToyStates({"two": (("a",),)}), encoded, "two three", 1.0)


@pytest.mark.parametrize("text, said", [("", "there is no text"), ("ac", "'c'"), ("ab ab ab", "needs 8")])
def test_what_cannot_be_found_is_refused(ctc: CTC, text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        text_alignment(ctc, drawn(0, utterances=1, frames=5, symbols=4), text, 1.0)
