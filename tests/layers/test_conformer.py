"""The Conformer against loops, and by its laws: no frame depends on padding nor, where it is causal, on the future."""

import itertools

import pytest
import torch
from torch import Tensor

from foresay.errors import UserError
from foresay.layers.conformer import Conformer, by_distance, sinusoids
from foresay.layers.dropout import layers_kept
from reference.conformer_loops import attention_by_hand, block_by_hand, sinusoid

TIME = 9


def conformer(layers: int = 2, **options: object) -> Conformer:
    torch.manual_seed(0)
    built = Conformer(12, layers, 3, 20, **{"kernel": 5, **options})  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    return built.double()


def frames(batch: int = 2, time: int = TIME) -> Tensor:
    return torch.randn(batch, time, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def window(time: int, *, causal: bool, left: int | None) -> Tensor:
    seen = torch.ones(time, time, dtype=torch.bool)
    for i, j in itertools.product(range(time), repeat=2):
        seen[i, j] = not (causal and j > i) and not (left is not None and j < i - left)
    return seen


def test_distances_are_sines_and_cosines() -> None:
    found = sinusoids(4, 6, torch.device("cpu")).double()
    expected = torch.stack([sinusoid(distance, 6) for distance in (4, 3, 2, 1, 0, -1, -2, -3)])
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("time", [1, 2, 5])
def test_scores_are_read_at_their_distance(time: int) -> None:
    distances = torch.arange(time, -time, -1).expand(1, 1, time, 2 * time)
    assert by_distance(distances)[0, 0].tolist() == [[i - j for j in range(time)] for i in range(time)]


@torch.no_grad()
@pytest.mark.parametrize("causal, left", [(False, None), (True, None), (True, 2), (False, 3)])
def test_it_is_the_loops_of_the_papers(*, causal: bool, left: int | None) -> None:
    ours, given = conformer(causal=causal, left_context=left).eval(), frames()
    states = ours(given)
    seen = window(TIME, causal=causal, left=left)
    alone = ours.blocks[0].attention(given, sinusoids(TIME, 12, given.device).double(), seen[None, None])
    for row in range(2):
        torch.testing.assert_close(alone[row], attention_by_hand(ours.blocks[0].attention, given[row], seen), atol=1e-6, rtol=0)
        expected = given[row]
        for block, state in zip(ours.blocks, states[1:], strict=True):
            expected = block_by_hand(block, expected, seen)
            torch.testing.assert_close(state[row], expected, atol=1e-5, rtol=0)
    assert torch.equal(states[0], given)
    some = ours(given, depth=1)
    assert len(some) == 2
    assert torch.equal(some[1], states[1])


@torch.no_grad()
@pytest.mark.parametrize("causal, left", [(False, None), (True, None), (True, 2)])
def test_padding_is_not_encoded(*, causal: bool, left: int | None) -> None:
    ours, given, lengths = conformer(causal=causal, left_context=left).eval(), frames(4), torch.tensor([TIME, 4, 1, 0])
    together = ours(given, lengths)
    for row, length in enumerate(lengths.tolist()):
        for state, alone in zip(together, ours(given[row : row + 1, :length]), strict=True) if length else ():
            torch.testing.assert_close(state[row, :length], alone[0])
    assert all(state.isfinite().all() for state in together)
    for state, whole in zip(ours(given, torch.full((4,), TIME)), ours(given), strict=True):
        torch.testing.assert_close(state, whole)


@pytest.mark.parametrize("left, kernel", [(None, 5), (2, 4), (0, 1)])
def test_causal_blocks_depend_on_the_past_alone_and_as_far_as_they_may(left: int | None, kernel: int) -> None:
    ours = conformer(causal=True, left_context=left, kernel=kernel).eval()
    given = frames(1, 16).requires_grad_()
    for at in (0, 7, 12):
        (gradient,) = torch.autograd.grad(ours(given)[-1][0, at].sum() * 1e3, given)
        reached = gradient[0].abs().sum(-1).nonzero().flatten().tolist()
        reach = at if left is None else 2 * (left + kernel - 1)  # two blocks, each looks back and then convolves
        assert reached == list(range(max(at - reach, 0), at + 1))


def test_a_stream_of_prefixes_is_the_whole() -> None:
    ours, given = conformer(causal=True).eval(), frames()
    whole = ours(given)[-1]
    for upto in range(1, TIME + 1):
        torch.testing.assert_close(ours(given[:, :upto])[-1], whole[:, :upto])


def test_dropped_blocks_change_nothing_and_have_the_gradient_zero() -> None:
    ours, given, kept = conformer(6, layer_drop=0.5).train(), frames(), layers_kept((0, 3), 6, 0.5)
    assert kept is not None
    assert {True, False} == set(kept.tolist())
    states = ours(given, kept=ours.draw((0, 3)))
    states[-1].square().sum().backward()
    for keep, block, (before, after) in zip(kept.tolist(), ours.blocks, itertools.pairwise(states), strict=True):
        assert torch.equal(before, after) != keep
        for parameter in block.parameters():
            assert parameter.grad is not None
            assert bool(parameter.grad.ne(0).any()) == keep
    assert not any(torch.equal(*pair) for pair in itertools.pairwise(ours.eval()(given, kept=ours.draw((0, 3)))))


def test_checkpointing_changes_no_gradient() -> None:
    gradients = []
    for checkpoint in (False, True):
        ours = conformer(checkpoint=checkpoint, dropout=0.1, attention_dropout=0.1, layer_drop=0.3).train()
        torch.manual_seed(2)
        ours(frames(), torch.tensor([TIME, 6]), kept=ours.draw((0, 1)))[-1][:, :6].square().sum().backward()
        gradients.append([parameter.grad for parameter in ours.parameters()])
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, recomputed)


@pytest.mark.parametrize("size, heads, kernel, message", [(12, 5, 5, "do not divide into 5 heads"), (12, 3, 4, "no middle frame")])
def test_sizes_that_do_not_fit_are_explained(size: int, heads: int, kernel: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Conformer(size, 1, heads, 8, kernel=kernel)
