"""Transducer searches against every transcript and every alignment of small networks, with a language model and in batches."""

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from foresay.contracts.recognition import Encoded, Hypothesis
from foresay.decoding.fusion import ShallowFusion
from foresay.decoding.transducer_search import TransducerBeam, greedy_search
from foresay.decoding.weights import Weights
from foresay.errors import UserError
from reference.toy_language import ToyLanguageModel
from reference.transducer_loops import alignment_score, every_transcript

SYMBOLS = ("<blank>", "|", "a", "b")
V, D = len(SYMBOLS), 3


class TableJoint:
    """Scores by a table: of the last two symbols, and of the frame; a state holds the two symbols."""

    def __init__(self, seed: int = 0, blank: float = 0.0) -> None:
        random = torch.Generator().manual_seed(seed)
        self.after, self.by_frame = torch.randn(V, V, V, generator=random), 2 * torch.randn(D, V, generator=random)
        self.after[..., 0] += blank

    def start(self, count: int) -> Tensor:
        return torch.zeros(count, 2, dtype=torch.int64)

    def advance(self, states: Tensor, symbols: Tensor) -> Tensor:
        return torch.stack([states[:, 1], symbols], 1)

    def scores(self, frames: Tensor, states: Tensor) -> Tensor:
        return (self.after[states[:, 0], states[:, 1]] + frames @ self.by_frame).log_softmax(-1)

    def after_prefix(self, frame: Tensor, prefix: Sequence[int]) -> list[float]:
        """Log p of the symbols, one frame and one prefix at a time."""
        state = torch.tensor([[0, 0, *prefix][-2:]])
        scores: list[float] = self.scores(frame[None], state)[0].tolist()
        return scores


def drawn(seed: int, utterances: int, frames: int) -> Encoded:
    return Encoded(torch.randn(utterances, frames, D, generator=torch.Generator().manual_seed(seed)), torch.full((utterances,), frames))


def text_of(tokens: Sequence[int]) -> str:
    return "".join(SYMBOLS[token] for token in tokens)


def rows(joint: TableJoint, frames: Tensor, text: Sequence[int]) -> list[list[list[float]]]:
    return [[joint.after_prefix(frame, text[:u]) for u in range(len(text) + 1)] for frame in frames]


@pytest.mark.parametrize("seed", range(3))
def test_a_beam_that_holds_everything_sums_over_all_alignments(seed: int) -> None:
    joint, encoded = TableJoint(seed), drawn(seed, 2, 3)
    expected = [every_transcript(lambda t, prefix, b=b: joint.after_prefix(encoded.frames[b, t], prefix), 3, V, 3) for b in (0, 1)]
    found = TransducerBeam(joint, beam=200)(encoded, text_of, best=40)
    for hypotheses, texts in zip(found, expected, strict=True):
        assert len(hypotheses) == len(texts) == 40
        assert [one.tokens for one in hypotheses] == sorted(texts, key=texts.__getitem__, reverse=True)
        for one in hypotheses:
            assert one.score == one.acoustic == pytest.approx(texts[one.tokens], abs=1e-4)
            assert one.text == text_of(one.tokens)


def test_a_narrow_beam_finds_the_best_text_and_never_more_than_its_score() -> None:
    found_best = 0
    for seed in range(6):
        joint, encoded = TableJoint(seed), drawn(seed, 1, 3)
        texts = every_transcript(lambda t, prefix, joint=joint, encoded=encoded: joint.after_prefix(encoded.frames[0, t], prefix), 3, V, 3)
        (hypotheses,) = TransducerBeam(joint, beam=8)(encoded, text_of, best=8)
        assert all(one.acoustic <= texts[one.tokens] + 1e-4 for one in hypotheses)
        assert len({one.tokens for one in hypotheses}) == len(hypotheses)  # equal prefixes are one
        found_best += hypotheses[0].tokens == max(texts, key=texts.__getitem__)
    assert found_best >= 5


def test_frames_and_confidences_are_of_an_alignment() -> None:
    joint, encoded = TableJoint(1), drawn(4, 3, 4)
    found = TransducerBeam(joint, beam=8)(encoded, text_of, best=3)
    assert max(len(one.tokens) for hypotheses in found for one in hypotheses) > 1
    for b, one in [(b, one) for b, hypotheses in enumerate(found) for one in hypotheses]:
        assert list(one.frames) == sorted(one.frames)
        assert one.stops == tuple(frame + 1 for frame in one.frames)
        table = rows(joint, encoded.frames[b], one.tokens)
        certain = [math.exp(table[t][u][one.tokens[u]]) for u, t in enumerate(one.frames)]
        assert one.confidences == pytest.approx(certain, abs=1e-5)
        assert alignment_score(table, one.tokens, one.frames) <= one.acoustic + 1e-4


def greedy_loop(joint: TableJoint, frames: Tensor, most: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Greedy search, one symbol at a time."""
    text: list[int] = []
    times: list[int] = []
    for t, frame in enumerate(frames):
        for _ in range(most):
            scores = joint.after_prefix(frame, text)
            symbol = scores.index(max(scores))
            if symbol == 0:
                break
            text.append(symbol)
            times.append(t)
    return tuple(text), tuple(times)


@pytest.mark.parametrize("most", [1, 2, 5])
def test_greedy_is_the_loop_and_its_score_that_of_its_alignment(most: int) -> None:
    joint, encoded = TableJoint(2, blank=-0.5), drawn(5, 6, 7)
    lengths = torch.tensor([7, 1, 0, 5, 7, 3])
    found = greedy_search(Encoded(encoded.frames, lengths), joint, text_of, symbols_a_frame=most)
    assert max(len(one.tokens) for one in found) > 3
    for b, one in enumerate(found):
        frames = encoded.frames[b, : lengths[b]]
        assert (one.tokens, one.frames) == greedy_loop(joint, frames, most)
        table = rows(joint, frames, one.tokens)
        assert one.score == one.acoustic == pytest.approx(alignment_score(table, one.tokens, one.frames), abs=1e-4)
        assert one.confidences == pytest.approx([math.exp(table[t][u][one.tokens[u]]) for u, t in enumerate(one.frames)], abs=1e-5)


def test_a_network_that_never_ends_is_ended() -> None:
    joint, encoded = TableJoint(0, blank=-50.0), drawn(0, 1, 4)
    (found,) = greedy_search(encoded, joint, text_of, symbols_a_frame=2)
    assert found.frames == (0, 0, 1, 1, 2, 2, 3, 3)
    (hypotheses,) = TransducerBeam(joint, beam=3, symbols_a_frame=2)(encoded, text_of)
    assert len(hypotheses[0].tokens) <= 8


def test_a_language_model_ranks_symbols_and_no_blanks() -> None:
    joint, encoded, model = TableJoint(3), drawn(6, 1, 3), ToyLanguageModel(SYMBOLS[1:])
    weights = Weights(0.7, 0.4)
    texts = every_transcript(lambda t, prefix: joint.after_prefix(encoded.frames[0, t], prefix), 3, V, 3)
    (found,) = TransducerBeam(joint, beam=200, fusion=ShallowFusion(SYMBOLS, model, weights, 1, {0}))(encoded, text_of, best=40)

    def rank(text: tuple[int, ...]) -> float:
        words = sum(one != 1 and before in {0, 1} for before, one in zip((0, *text), text, strict=False))
        return texts[text] + 0.7 * model.sentence([one - 1 for one in text]) + 0.4 * words

    assert [one.tokens for one in found] == sorted(texts, key=rank, reverse=True)
    for one in found:
        assert one.score == pytest.approx(rank(one.tokens), abs=1e-4)
        assert one.acoustic == pytest.approx(texts[one.tokens], abs=1e-4)
        assert one.language == pytest.approx(model.sentence([token - 1 for token in one.tokens]), abs=1e-4)


@pytest.mark.parametrize("fused", ["alone", "fused"])
def test_batch_mates_change_nothing(fused: str) -> None:
    joint, lengths = TableJoint(7), [6, 1, 0, 4]
    frames = drawn(8, 4, 6).frames
    fusion = ShallowFusion(SYMBOLS, ToyLanguageModel(SYMBOLS[1:]), Weights(0.5), 1, {0}) if fused == "fused" else None
    search = TransducerBeam(joint, beam=5, fusion=fusion)
    together = search(Encoded(frames, torch.tensor(lengths)), text_of, best=5)
    assert [one.tokens for one in together[2]] == [()]
    for b, length in enumerate(lengths):
        (alone,) = search(Encoded(frames[b : b + 1, :length], torch.tensor([length])), text_of, best=5)
        assert [strip(one) for one in alone] == [strip(one) for one in together[b]]
        assert [one.score for one in alone] == pytest.approx([one.score for one in together[b]], abs=1e-5)


def test_ending_early_changes_nothing() -> None:
    nothing = ShallowFusion(SYMBOLS, None, Weights(), 1, {0})  # with a language model, a beam ends by its symbols
    for blank in (0.0, 2.0, 4.0):  # the more, the earlier
        joint, encoded = TableJoint(5, blank), drawn(9, 8, 6)
        found, expected = (TransducerBeam(joint, beam=4, fusion=fusion)(encoded, text_of, best=4) for fusion in (None, nothing))
        assert found == expected


def strip(one: Hypothesis) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
    return one.text, one.tokens, one.frames


def test_limits_below_one_are_refused() -> None:
    for made in ({"beam": 0}, {"symbols_a_frame": 0}):
        with pytest.raises(UserError, match=next(iter(made))):
            TransducerBeam(TableJoint(), **made)
    with pytest.raises(UserError, match="symbols_a_frame"):
        greedy_search(drawn(0, 1, 1), TableJoint(), text_of, symbols_a_frame=0)
