"""Searches in chunks: however emissions are cut, the end is that of the whole, and what was certain stays."""

import itertools
import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foresay.contracts.recognition import Emissions, SearchStream, StablePrefix
from foresay.decoding.greedy import GreedyStream, best_path
from foresay.decoding.hot_words import HotWords
from foresay.decoding.prefix_beam import PrefixBeam
from foresay.decoding.prefix_stream import PrefixStream
from foresay.decoding.weights import Weights
from foresay.errors import UserError
from reference.ctc_loops import drawn
from reference.toy_language import ToyLanguageModel

SYMBOLS = ("<blank>", "a", "b", "|")
SIZES = st.lists(st.integers(0, 12), max_size=12)
DELAYS = st.sampled_from([None, 1, 5, 20])


def letters(tokens: Sequence[int]) -> str:
    return "".join(SYMBOLS[token] for token in tokens)


def _chunks(emissions: Emissions, sizes: Sequence[int]) -> list[Emissions]:
    """Cut (1, T, V) at these sizes, the rest in one."""
    scores, _ = emissions
    edges = [min(sum(sizes[:number]), scores.shape[1]) for number in range(len(sizes) + 1)] + [scores.shape[1]]
    parts = [scores[:, begin:end] for begin, end in itertools.pairwise(edges)]
    return [Emissions(part, torch.tensor([part.shape[1]])) for part in parts]


def _pushed(stream: SearchStream, chunks: Sequence[Emissions]) -> list[StablePrefix]:
    return [stream.push(chunk) for chunk in chunks]


def _beam(beam: int = 8, *, fused: bool = True) -> PrefixBeam:
    if not fused:
        return PrefixBeam(SYMBOLS, beam=beam)
    hot = HotWords([(2, 1)], boost=0.5, symbols=4, boundary=3)
    model = ToyLanguageModel(("a", "b", "|"), seed=3)
    return PrefixBeam(SYMBOLS, beam=beam, weights=Weights(0.6, -0.2), language_model=model, hot_words=hot, boundary=3)


@given(seed=st.integers(0, 1000), frames=st.integers(0, 50), sizes=SIZES)
def test_the_best_path_of_chunks_is_that_of_the_whole(seed: int, frames: int, sizes: list[int]) -> None:
    emissions = drawn(seed, utterances=1, frames=frames, symbols=4)
    stream = GreedyStream(letters)
    prefixes = _pushed(stream, _chunks(emissions, sizes))
    (whole,) = best_path(emissions, letters)
    found = stream.finish()
    assert (found.text, found.tokens, found.frames) == (whole.text, whole.tokens, whole.frames)
    assert found.score == found.acoustic == pytest.approx(whole.score, abs=1e-3)
    assert prefixes[-1].tokens == whole.tokens
    for before, after in itertools.pairwise(prefixes):
        assert after.tokens[: len(before.tokens)] == before.tokens
        assert after.frames[: len(before.frames)] == before.frames
        assert after.text.startswith(before.text)


@settings(max_examples=12)
@given(seed=st.integers(0, 1000), sizes=SIZES, delay=DELAYS)
def test_the_beam_of_chunks_is_that_of_the_whole(seed: int, sizes: list[int], delay: int | None) -> None:
    emissions = drawn(seed, utterances=1, frames=24, symbols=4, peak=3.0)
    at_once = PrefixStream(_beam(), letters, delay)
    at_once.push(emissions)
    whole = at_once.finish()
    stream = PrefixStream(_beam(), letters, delay)
    prefixes = _pushed(stream, _chunks(emissions, sizes))
    found = stream.finish()
    assert found == whole
    if delay is None:
        ((best,),) = _beam()(emissions, letters)
        assert (found.tokens, found.frames, found.text) == (best.tokens, best.frames, best.text)
        assert (found.score, found.acoustic, found.language) == pytest.approx((best.score, best.acoustic, best.language), abs=1e-4)
    for before, after in zip(prefixes, [*prefixes[1:], found], strict=True):
        assert after.tokens[: len(before.tokens)] == before.tokens
        assert after.frames[: len(before.frames)] == before.frames


def test_what_is_certain_comes_no_later_than_the_delay() -> None:
    emissions = drawn(0, utterances=1, frames=150, symbols=4, peak=2.0)  # of many doubtful frames
    certain = {}
    for delay in (None, 10):
        stream = PrefixStream(_beam(fused=False), letters, delay)
        found = [stream.push(chunk) for chunk in _chunks(emissions, [1] * 150)]
        certain[delay] = [len(prefix.tokens) for prefix in found[:150]]
        if delay:
            whole = stream.finish()
            for now, prefix in enumerate(found[:150]):  # all symbols that began before the delay
                assert sum(frame <= now - 2 * delay for frame in whole.frames) <= len(prefix.tokens)
            assert len(stream._history._parents) <= delay
    assert sum(certain[10]) > sum(certain[None])


def test_a_delay_gives_up_little_where_the_recognizer_is_sure() -> None:
    emissions = drawn(1, utterances=1, frames=200, symbols=4, peak=6.0)
    stream = PrefixStream(_beam(fused=False), letters, 20)
    stream.push(emissions)
    ((best,),) = _beam(fused=False)(emissions, letters)
    assert stream.finish().tokens == best.tokens


def test_nothing_and_what_is_no_chunk() -> None:
    for stream in (GreedyStream(letters), PrefixStream(_beam(), letters)):
        assert stream.finish().text == ""
        nothing = Emissions(torch.zeros(1, 0, 4), torch.tensor([0]))
        assert stream.push(nothing) == StablePrefix("", (), ())
        two = drawn(0, utterances=2, frames=3, symbols=4)
        with pytest.raises(UserError, match="a stream is one utterance"):
            stream.push(two)
        with pytest.raises(UserError, match="real frames alone"):
            stream.push(Emissions(two.log_probabilities[:1], torch.tensor([2])))
        with pytest.raises(UserError, match="not a number"):
            stream.push(Emissions(torch.full((1, 1, 4), math.nan), torch.tensor([1])))
    with pytest.raises(UserError, match="delay must be 1 or more"):
        PrefixStream(_beam(), letters, 0)
