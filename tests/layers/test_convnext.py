"""ConvNeXt blocks against a loop over frames, and that padding is not looked at."""

import torch
import torch.nn.functional as F

from foresay.layers.convnext import ConvNeXt, ConvNeXtBlock


@torch.no_grad()
def test_a_block_against_a_loop() -> None:
    block = ConvNeXtBlock(4, 6, 3, 0.5)
    frames = torch.randn(1, 5, 4)
    found = block(frames, torch.ones(1, 5, 1))[0]
    padded = F.pad(frames[0], (0, 0, 1, 1))
    for t in range(5):
        mixed = (padded[t : t + 3] * block.in_time.weight[:, 0].T).sum(0) + block.in_time.bias
        added = block.narrowed(F.gelu(block.widened(block.norm(mixed))))
        torch.testing.assert_close(found[t], frames[0, t] + 0.5 * added)


@torch.no_grad()
def test_padding_is_not_looked_at() -> None:
    stack = ConvNeXt(4, 3, 6)
    frames, real = torch.randn(2, 20, 4), torch.ones(2, 20, 1)
    real[1, 12:] = 0
    torch.testing.assert_close(stack(frames, real)[1, :12], stack(frames[1:, :12], real[1:, :12])[0])


@torch.no_grad()
def test_a_stack_is_its_blocks_one_after_the_other_and_a_norm() -> None:
    stack, frames, real = ConvNeXt(4, 2, 6), torch.randn(1, 20, 4), torch.ones(1, 20, 1)
    one, other = stack.blocks
    torch.testing.assert_close(stack(frames, real), F.layer_norm(other(one(frames, real), real), (4,)))


def test_branches_begin_small() -> None:
    assert all(torch.equal(block.scale, torch.full((4,), 1 / 3)) for block in ConvNeXt(4, 3, 6).blocks)
