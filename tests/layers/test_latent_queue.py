"""First in, first out, around the end of the buffer."""

import pytest
import torch
from torch import Tensor

from foresay.layers.latent_queue import LatentQueue


def numbered(first: int, count: int) -> Tensor:
    return torch.arange(first, first + count).float()[:, None].expand(-1, 3)


@pytest.mark.parametrize("sizes", [[4, 4, 4, 4], [3, 10, 1], [7, 25, 3, 1], [10], [1] * 23], ids=str)
def test_it_holds_the_last_that_came(sizes: list[int]) -> None:
    queue = LatentQueue(10, 3)
    came = 0
    for size in sizes:
        queue.wait(numbered(came, size)[: size // 2])
        queue.wait(numbered(came, size)[size // 2 :])
        before = queue.held().clone()
        assert len(before) == min(came, 10)  # what waits is not held
        queue.after_step()
        came += size
        assert sorted(queue.held()[:, 0].tolist()) == list(range(max(came - 10, 0), came))
        assert all(int(row) % 10 == place for place, row in enumerate(queue.held()[:, 0]))
    assert int(queue.arrived) == came


def test_it_keeps_no_gradient_and_survives_saving() -> None:
    queue = LatentQueue(10, 3)
    latents = numbered(0, 4).clone().requires_grad_()
    queue.wait(2 * latents)
    queue.after_step()
    assert not queue.held().requires_grad
    again = LatentQueue(10, 3)
    again.load_state_dict(queue.state_dict())
    assert torch.equal(again.held(), 2 * numbered(0, 4))


def test_nothing_comes_in_evaluation_nor_from_an_update_that_was_not_finite() -> None:
    queue = LatentQueue(10, 3)
    queue.eval().wait(numbered(0, 4))
    queue.after_step()
    queue.train().wait(torch.full((2, 3), torch.nan))
    queue.wait(numbered(0, 4))
    queue.after_step()
    assert len(queue.held()) == 0
    queue.after_step()  # an update without latents
    assert int(queue.arrived) == 0
