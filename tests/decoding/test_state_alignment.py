"""Forced alignment by hidden Markov models: every pronunciation, silence and path, enumerated; batch mates and lengths change nothing."""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence

import pytest
import torch

from foresay.contracts import Encoded
from foresay.contracts.states import Topology
from foresay.decoding.state_alignment import StateChain, align_states, state_posteriors, state_statistics, text_scores
from foresay.errors import UserError
from reference.state_loops import SILENCE, States, drawn, durations

SYMBOLS = (1, 2, 1, 2)
"""States of each symbol, silence first; the last two share one."""
WORDS: list[list[tuple[int, ...]]] = [[(1,), (2, 3)], [(3,)]]
"""Of a text, with their pronunciations."""


def every_path(
    rows: Sequence[Sequence[float]], states: States, words: Sequence[Sequence[tuple[int, ...]]]
) -> Iterator[tuple[float, list[tuple[int, int]]]]:
    """Yield the score of each path, and the (word, state) of its frames; -1 is silence."""
    for spelled in itertools.product(*words):
        for silent in itertools.product([0, 1], repeat=len(words) + 1):
            parts = [(-1, [SILENCE] * silent[0])]
            for number, (symbols, silence) in enumerate(zip(spelled, silent[1:], strict=True)):
                parts += [(number, list(symbols)), (-1, [SILENCE] * silence)]
            chain = [(word, state) for word, symbols in parts for symbol in symbols for state in states.chains[symbol]]
            for cut in durations(len(rows), len(chain)) if 0 < len(chain) <= len(rows) else ():
                path = [one for one, frames in zip(chain, cut, strict=True) for _ in range(frames)]
                score = sum(rows[t][state] for t, (_, state) in enumerate(path))
                score += sum((frames - 1) * states.stay[state] + states.go[state] for (_, state), frames in zip(chain, cut, strict=True))
                yield score, path


@pytest.fixture(scope="module")
def states() -> States:
    return drawn(1, SYMBOLS)


@pytest.fixture(scope="module")
def topology(states: States) -> Topology:
    return Topology(states.chains, torch.tensor(states.stay), torch.tensor(states.go))


@pytest.fixture(scope="module")
def likelihoods(states: States) -> Encoded:
    scores = 2 * torch.randn(2, 8, len(states.stay), generator=torch.Generator().manual_seed(0))
    return Encoded(scores, torch.tensor([8, 6]))


@pytest.mark.parametrize("words", [WORDS, WORDS[::-1], WORDS[1:], [*WORDS, WORDS[1]]])
def test_best_path_sum_and_posteriors_are_those_of_all_paths(
    words: list[list[tuple[int, ...]]], states: States, topology: Topology, likelihoods: Encoded
) -> None:
    chain = StateChain.of(words, topology)
    best = align_states(likelihoods, [chain, chain], topology)
    gamma, totals = state_posteriors(likelihoods, [chain, chain], topology), text_scores(likelihoods, [chain, chain], topology)
    for row, frames in enumerate(likelihoods.lengths.tolist()):
        every = list(every_path(likelihoods.frames[row, :frames].tolist(), states, words))
        score, path = max(every, key=lambda one: one[0])
        assert float(best.score[row]) == pytest.approx(score, abs=1e-4)
        positions = best.positions[row].tolist()
        assert [(chain.steps[n].word, chain.steps[n].state) for n in positions[:frames]] == path
        assert positions[frames:] == [-1] * (8 - frames)
        total = math.log(sum(math.exp(one) for one, _ in every))
        assert float(totals[row]) == pytest.approx(total, abs=1e-4)
        shares: dict[tuple[int, int, int], float] = defaultdict(float)
        for one, frames_of in every:
            for t, (word, state) in enumerate(frames_of):
                shares[t, word, state] += math.exp(one - total)
        found: dict[tuple[int, int, int], float] = defaultdict(float)
        for t, n in itertools.product(range(8), range(len(chain.steps))):
            found[t, chain.steps[n].word, chain.steps[n].state] += float(gamma[row, t, n])
        assert {key: value for key, value in found.items() if value > 1e-6} == pytest.approx(
            {key: value for key, value in shares.items() if value > 1e-6}, abs=1e-5
        )


def test_expected_counts_are_those_of_all_paths(states: States, topology: Topology, likelihoods: Encoded) -> None:
    chain = StateChain.of(WORDS, topology)
    found = state_statistics(likelihoods, [chain, chain], topology)
    stays, goes = torch.zeros(2, len(states.stay))
    for row, frames in enumerate(likelihoods.lengths.tolist()):
        every = list(every_path(likelihoods.frames[row, :frames].tolist(), states, WORDS))
        total = math.log(sum(math.exp(score) for score, _ in every))
        assert float(found.total[row]) == pytest.approx(total, abs=1e-4)
        for score, path in every:
            for (_, state), parts in itertools.groupby(path):  # here no state comes twice in a row
                count = len(list(parts))
                stays[state] += math.exp(score - total) * (count - 1)
                goes[state] += math.exp(score - total)
    torch.testing.assert_close(found.stays, stays, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.goes, goes, atol=1e-5, rtol=1e-4)


def test_a_shorter_chain_beside_a_longer_one_is_as_alone(topology: Topology, likelihoods: Encoded) -> None:
    chains = [StateChain.of(WORDS, topology), StateChain.of(WORDS[1:], topology)]
    both, gamma = align_states(likelihoods, chains, topology), state_posteriors(likelihoods, chains, topology)
    alone = Encoded(likelihoods.frames[1:, :6], likelihoods.lengths[1:])
    single = align_states(alone, chains[1:], topology)
    assert float(both.score[1]) == pytest.approx(float(single.score[0]), abs=1e-5)
    assert both.positions[1, :6].tolist() == single.positions[0].tolist()
    count = len(chains[1].steps)
    torch.testing.assert_close(gamma[1, :6, :count], state_posteriors(alone, chains[1:], topology)[0])
    assert float(gamma[1, :, count:].abs().max()) == float(gamma[1, 6:].abs().max()) == 0


def test_nothing_is_said_in_silence(topology: Topology, likelihoods: Encoded) -> None:
    chain = StateChain.of([], topology)
    assert align_states(likelihoods, [chain, chain], topology).positions.tolist() == [[0] * 8, [0] * 6 + [-1] * 2]


def test_a_text_that_is_too_long_is_refused_by_its_utterance(topology: Topology, likelihoods: Encoded) -> None:
    long, short = StateChain.of([[(1,)]] * 4, topology), StateChain.of([[(3,)]], topology)
    for ask in (align_states, text_scores, state_posteriors):
        with pytest.raises(UserError, match=r"utterance 1 has 6 frames, fewer than its text has states"):
            ask(likelihoods, [short, long], topology)
