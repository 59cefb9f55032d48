"""The free path through hidden Markov models: every row of symbols and every path, enumerated; batch mates change nothing."""

import itertools

import pytest
import torch

from foresay.contracts import Encoded, Topology
from foresay.decoding.state_loop import free_path, states_of
from foresay.errors import UserError
from reference.state_loops import States, best_path, drawn

SYMBOLS = (1, 2, 3, 3)
"""States of each; the last two share one."""


@pytest.fixture(scope="module")
def states() -> States:
    return drawn(4, SYMBOLS)


@pytest.fixture(scope="module")
def topology(states: States) -> Topology:
    return Topology(states.chains, torch.tensor(states.stay), torch.tensor(states.go))


@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_best_of_all_rows_of_symbols(states: States, topology: Topology, seed: int) -> None:
    scores = 2 * torch.randn(2, 5, len(states.stay), generator=torch.Generator().manual_seed(seed))
    found = free_path(Encoded(scores, torch.tensor([5, 3])), topology)
    places = [(symbol, n) for symbol, count in enumerate(SYMBOLS) for n in range(count)]
    for row, frames in enumerate((5, 3)):
        rows = scores[row, :frames].tolist()
        every = (best_path(rows, states, said) for count in range(1, frames + 1) for said in itertools.product(range(4), repeat=count))
        best = max(every, key=lambda one: one.score)
        assert float(found.score[row]) == pytest.approx(best.score, abs=1e-4)
        path = found.positions[row].tolist()
        assert path[frames:] == [-1] * (5 - frames)
        symbols = [places[place][0] for place in path[:frames]]
        assert [symbols[t] for t in best.begins] == list(best.symbols)
        ends = [*(t - 1 for t in best.begins[1:]), frames - 1]
        assert all(places[path[t]] == (s, 0) for t, s in zip(best.begins, best.symbols, strict=True))
        assert all(places[path[t]] == (s, SYMBOLS[s] - 1) for t, s in zip(ends, best.symbols, strict=True))


def test_places_are_the_states_of_all_symbols(states: States, topology: Topology) -> None:
    assert states_of(topology).tolist() == [state for chain in states.chains for state in chain]


def test_too_few_frames_for_any_symbol_are_refused() -> None:
    pair = Topology(((0, 1), (2, 3)), torch.zeros(4), torch.zeros(4))
    with pytest.raises(UserError, match="utterance 1 has 1 frames, fewer than any symbol has states"):
        free_path(Encoded(torch.zeros(2, 2, 4), torch.tensor([2, 1])), pair)
