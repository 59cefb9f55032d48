"""Joint and prediction networks: all prefixes at once are what they are symbol by symbol, and each knows what it may know."""

import pytest
import torch

from foresay.layers.joint_network import JointNetwork, LSTMPrediction, PredictionNetwork, StatelessPrediction

V, P, J = 5, 6, 4


def made(kind: str) -> PredictionNetwork:
    torch.manual_seed(0)
    return StatelessPrediction(V, P, context=2) if kind == "stateless" else LSTMPrediction(V, P)


@pytest.mark.parametrize("kind", ["stateless", "lstm"])
@torch.no_grad()
def test_all_prefixes_at_once_are_those_of_symbol_after_symbol(kind: str) -> None:
    joint = JointNetwork(made(kind), P, V, J).eval()
    texts, frames = torch.tensor([[1, 4, 4, 2], [3, 1, 2, 2]]), torch.randn(2, 3, J)
    scores = joint(frames, joint.predicted(texts)).log_softmax(-1)  # (B, T, U + 1, V)
    states = joint.start(2)
    for u in range(5):
        for t in range(3):
            torch.testing.assert_close(joint.scores(frames[:, t], states), scores[:, t, u])
        if u < 4:
            states = joint.advance(states, texts[:, u])


@torch.no_grad()
def test_stateless_knows_the_last_symbols_and_an_lstm_all() -> None:
    one, other = torch.tensor([[1, 2, 3, 4]]), torch.tensor([[4, 2, 3, 4]])
    for kind, same in (("stateless", True), ("lstm", False)):
        network = made(kind)
        assert torch.equal(network(one)[:, 0], network(other)[:, 0])
        assert not torch.allclose(network(one)[:, 2], network(other)[:, 2])
        assert torch.equal(network(one)[:, 3:], network(other)[:, 3:]) == same
        first = network.start(1)
        assert network.known(network.advance(first, one[:, 0])).shape == (1, P)
    swapped = torch.tensor([[1, 2, 4, 3]])
    assert not torch.allclose(made("stateless")(one)[:, 4], made("stateless")(swapped)[:, 4])  # their order counts


def test_an_lstm_whose_memory_is_cleared_knows_one_symbol_as_a_stateless_network_does() -> None:
    network = made("lstm")
    nothing = torch.zeros(2, 2 * P)
    symbols = torch.tensor([3, 3])
    known = network.known(network.advance(nothing, symbols))
    torch.testing.assert_close(known[0], known[1])
    torch.testing.assert_close(network.known(network.advance(nothing[:1], torch.tensor([0]))), network(torch.zeros(1, 0).long())[:, 0])
