"""The sum of layers against its formula, its gradient, and a layer that stays alone."""

import torch

from foresay.evaluation.superb.layer_sum import LayerSum
from foresay.evaluation.superb.side_by_side import SideBySide

FEATURES = torch.randn(2, 6, 4, 3, generator=torch.Generator().manual_seed(0))


def test_at_first_all_layers_count_alike() -> None:
    added = LayerSum(4)
    torch.testing.assert_close(added(FEATURES), FEATURES.mean(2))
    assert added.shares.tolist() == [0.25] * 4


def test_is_the_sum_of_layers_by_their_shares() -> None:
    added = LayerSum(4)
    with torch.no_grad():
        added.weights.copy_(torch.tensor([0.0, 1.0, -1.0, 2.0]))
    shares = torch.tensor([0.0, 1.0, -1.0, 2.0]).exp()
    shares /= shares.sum()
    torch.testing.assert_close(added.shares, shares)
    torch.testing.assert_close(added(FEATURES), (FEATURES * shares[:, None]).sum(2))


def test_its_gradient_is_that_of_finite_differences() -> None:
    def sum_of(weights: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = torch.func.functional_call(added, {"weights": weights}, (features,))
        return found

    added = LayerSum(4).double()
    weights = torch.tensor([0.3, -0.2, 0.9, 0.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(sum_of, (weights, FEATURES.double().requires_grad_()))


def test_a_layer_alone_is_that_layer_and_stays_alone() -> None:
    side = SideBySide([LayerSum(4, 2), LayerSum(4)], [0.1, 0.1], decay=0.1)
    for number in range(5):
        outputs = side(FEATURES)
        assert torch.equal(outputs[0], FEATURES[:, :, 2])
        side.update((outputs - number).square().flatten(1).mean(1))
    shares = side.weights["weights"].softmax(1)
    assert shares[0].tolist() == [0.0, 0.0, 1.0, 0.0]
    assert len(set(shares[1].tolist())) == 4
