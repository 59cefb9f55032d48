"""Transducer searches against every transcript and every alignment of small networks, with a language model and in batches."""

import itertools
import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from foresay.contracts.recognition import Encoded, Hypothesis, SearchStream, StablePrefix
from foresay.decoding.fusion import ShallowFusion
from foresay.decoding.history import History
from foresay.decoding.prefix_stream import PrefixStream
from foresay.decoding.transducer_frame_beam import TransducerFrameBeam
from foresay.decoding.transducer_search import TransducerBeam, TransducerStream, greedy_search
from foresay.decoding.weights import Weights
from foresay.errors import UserError
from reference.ctc_loops import log_sum
from reference.toy_language import ToyLanguageModel
from reference.transducer_loops import alignment_score, every_alignment, every_transcript

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


def _limited(joint: TableJoint, frames: Tensor, most: int, longest: int) -> dict[tuple[int, ...], float]:
    """Log p of each text of at most `longest` symbols: the sum over the alignments with at most `most` symbols in a frame."""
    texts = [text for count in range(longest + 1) for text in itertools.product(range(1, V), repeat=count)]
    found = {}
    for text in texts:
        ways = [one for one in every_alignment(len(frames), len(text)) if all(one.count(frame) <= most for frame in one)]
        if ways:
            table = rows(joint, frames, text)
            found[text] = log_sum([alignment_score(table, text, way) for way in ways])
    return found


def _pushed(stream: SearchStream, frames: Tensor, sizes: Sequence[int]) -> list[StablePrefix]:
    """Push (T, D) in chunks of these sizes, and the rest in one."""
    edges = [min(sum(sizes[:number]), len(frames)) for number in range(len(sizes) + 1)] + [len(frames)]
    parts = [frames[None, begin:end] for begin, end in itertools.pairwise(edges)]
    return [stream.push(Encoded(part, torch.tensor([part.shape[1]]))) for part in parts]


@pytest.mark.parametrize("seed, most", [(0, 1), (1, 2), (2, 2)])
def test_a_frame_beam_that_holds_everything_sums_over_all_alignments(seed: int, most: int) -> None:
    joint, encoded = TableJoint(seed), drawn(seed, 1, 2)
    texts = _limited(joint, encoded.frames[0], most, 2 * most)
    search, history = TransducerFrameBeam(joint, beam=200, symbols_a_frame=most), History()
    beam = search.begin(encoded)
    for frame in encoded.frames.transpose(0, 1):
        beam = search.step(beam, frame, history)
    (found,) = search.found(beam, history, text_of, 200)
    assert [one.tokens for one in found] == sorted(texts, key=texts.__getitem__, reverse=True)[: len(found)]
    assert len(found) == min(len(texts), 200)
    for one in found:
        assert one.score == one.acoustic == pytest.approx(texts[one.tokens], abs=1e-4)
        assert list(one.frames) == sorted(one.frames)
        assert alignment_score(rows(joint, encoded.frames[0], one.tokens), one.tokens, one.frames) <= one.acoustic + 1e-4


def test_a_frame_beam_is_led_by_a_language_model_as_the_other_one_is() -> None:
    joint, encoded = TableJoint(3), drawn(6, 2, 2)
    fusion = ShallowFusion(SYMBOLS, ToyLanguageModel(SYMBOLS[1:]), Weights(0.7, 0.4), 1, {0})
    whole = TransducerBeam(joint, beam=400, fusion=fusion, symbols_a_frame=2)(encoded, text_of, best=5)
    search, history = TransducerFrameBeam(joint, beam=400, fusion=fusion, symbols_a_frame=4), History()
    beam = search.begin(encoded)
    for frame in encoded.frames.transpose(0, 1):
        beam = search.step(beam, frame, history)
    found = [[one for one in hypotheses if len(one.tokens) <= 4] for hypotheses in search.found(beam, history, text_of, 10)]
    for ours, theirs in zip(found, whole, strict=True):
        for one, other in zip(ours[:3], theirs[:3], strict=True):
            assert one.tokens == other.tokens
            assert (one.score, one.acoustic, one.language) == pytest.approx((other.score, other.acoustic, other.language), abs=1e-4)


def _one_prefix(joint: TableJoint, frames: Tensor, fusion: ShallowFusion) -> tuple[int, ...]:
    """Keep one prefix, which in a frame writes a symbol or none: a plain loop."""
    text, state = list[int](), fusion.start
    for frame in frames:
        last = torch.tensor([text[-1] if text else 0])
        adds, _, after = (rows[0].tolist() for rows in fusion.following(last, torch.tensor([state])))
        scores = joint.after_prefix(frame, text)
        symbol = max(range(1, V), key=lambda one, scores=scores, adds=adds: scores[one] + adds[one])  # type: ignore[misc]
        if scores[symbol] + adds[symbol] + joint.after_prefix(frame, [*text, symbol])[0] > scores[0]:
            text, state = [*text, symbol], after[symbol]
    return tuple(text)


def test_a_language_model_chooses_what_a_frame_beam_keeps() -> None:
    differ = 0
    for seed in range(6):
        joint, encoded = TableJoint(seed), drawn(seed, 1, 8)
        found = {}
        for weight in (0.0, 2.0):
            fusion = ShallowFusion(SYMBOLS, ToyLanguageModel(SYMBOLS[1:]), Weights(weight, 1.0), 1, {0})
            stream = PrefixStream(TransducerFrameBeam(joint, beam=1, fusion=fusion, symbols_a_frame=1), text_of)
            stream.push(encoded)
            found[weight] = stream.finish().tokens
            assert found[weight] == _one_prefix(joint, encoded.frames[0], fusion)
        differ += found[0.0] != found[2.0]
    assert differ > 2


@given(seed=st.integers(0, 1000), frames=st.integers(0, 30), sizes=st.lists(st.integers(0, 8), max_size=8), most=st.integers(1, 3))
def test_greedy_search_of_chunks_is_that_of_the_whole(seed: int, frames: int, sizes: list[int], most: int) -> None:
    joint, encoded = TableJoint(seed, blank=0.5), drawn(seed, 1, frames)
    stream = TransducerStream(joint, text_of, symbols_a_frame=most)
    prefixes = _pushed(stream, encoded.frames[0], sizes)
    (whole,) = greedy_search(encoded, joint, text_of, symbols_a_frame=most)
    found = stream.finish()
    assert (strip(found), found.stops) == (strip(whole), whole.stops)
    assert found.score == found.acoustic == pytest.approx(whole.score, abs=1e-3)
    assert found.confidences == pytest.approx(whole.confidences, abs=1e-5)
    assert prefixes[-1] == StablePrefix(whole.text, whole.tokens, whole.frames)
    for before, after in itertools.pairwise(prefixes):
        assert after.tokens[: len(before.tokens)] == before.tokens
        assert after.frames[: len(before.frames)] == before.frames


@settings(max_examples=12)
@given(
    seed=st.integers(0, 1000),
    sizes=st.lists(st.integers(0, 8), max_size=8),
    delay=st.sampled_from([None, 1, 5]),
    fused=st.booleans(),
)
def test_a_frame_beam_of_chunks_is_that_of_the_whole(seed: int, sizes: list[int], delay: int | None, fused: bool) -> None:  # noqa: FBT001 - drawn
    joint, frames = TableJoint(seed), drawn(seed, 1, 16).frames[0]
    fusion = ShallowFusion(SYMBOLS, ToyLanguageModel(SYMBOLS[1:]), Weights(0.5, -0.2), 1, {0}) if fused else None
    search = TransducerFrameBeam(joint, beam=6, fusion=fusion, symbols_a_frame=2)
    at_once, stream = (PrefixStream(search, text_of, delay) for _ in range(2))
    _pushed(at_once, frames, [])
    prefixes = _pushed(stream, frames, sizes)
    found = stream.finish()
    assert found == at_once.finish()
    for before, after in zip(prefixes, [*prefixes[1:], found], strict=True):
        assert after.tokens[: len(before.tokens)] == before.tokens
        assert after.frames[: len(before.frames)] == before.frames


def test_a_delay_makes_what_a_frame_beam_has_found_certain() -> None:
    search = TransducerFrameBeam(TableJoint(4), beam=6, symbols_a_frame=2)
    frames, certain = drawn(4, 1, 60).frames[0], {}
    for delay in (None, 5):
        prefixes = _pushed(PrefixStream(search, text_of, delay), frames, [1] * 60)
        certain[delay] = sum(len(prefix.tokens) for prefix in prefixes)
    assert certain[5] > certain[None]


def test_nothing_and_what_is_no_chunk() -> None:
    for stream in (TransducerStream(TableJoint(), text_of), PrefixStream(TransducerFrameBeam(TableJoint()), text_of)):
        assert stream.finish() == Hypothesis("", 0.0)
        assert stream.push(Encoded(torch.zeros(1, 0, D), torch.tensor([0]))) == StablePrefix("", (), ())
        for wrong in (Encoded(torch.zeros(2, 3, D), torch.tensor([3, 3])), Encoded(torch.zeros(1, 3, D), torch.tensor([2]))):
            with pytest.raises(UserError, match="a stream is one utterance"):
                stream.push(wrong)


def strip(one: Hypothesis) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
    return one.text, one.tokens, one.frames


def test_limits_below_one_are_refused() -> None:
    for made in ({"beam": 0}, {"symbols_a_frame": 0}):
        with pytest.raises(UserError, match=next(iter(made))):
            TransducerBeam(TableJoint(), **made)
        with pytest.raises(UserError, match=next(iter(made))):
            TransducerFrameBeam(TableJoint(), **made)
    with pytest.raises(UserError, match="symbols_a_frame"):
        greedy_search(drawn(0, 1, 1), TableJoint(), text_of, symbols_a_frame=0)
    with pytest.raises(UserError, match="symbols_a_frame"):
        TransducerStream(TableJoint(), text_of, symbols_a_frame=0)
