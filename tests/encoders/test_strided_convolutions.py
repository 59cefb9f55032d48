"""The encoder against PyTorch's own convolutions, and what it promises about time."""

import pytest
import torch
import torch.nn.functional as F

from foresay.encoders.strided_convolutions import BatchNorm, ChannelNorm, StridedConvolution, StridedConvolutions

CPC = ((10, 8, 4, 4, 4), (5, 4, 2, 2, 2), (3, 2, 1, 1, 1))


def _encoder(channels: int = 16, norm: str = "channel") -> StridedConvolutions:
    torch.manual_seed(0)
    return StridedConvolutions(channels, *CPC, norm, group=2).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize("inputs, kernel, stride, padding", [(1, 10, 5, 3), (6, 8, 4, 2), (6, 4, 2, 1), (6, 3, 1, 1), (6, 6, 2, 0)])
@pytest.mark.parametrize("length", [40, 43, 57])
def test_convolution_equals_pytorchs(inputs: int, kernel: int, stride: int, padding: int, length: int) -> None:
    convolution = StridedConvolution(inputs, 5, kernel, stride, padding)
    frames = torch.randn(2, length, inputs, dtype=torch.float32, requires_grad=True)
    mine = convolution(frames)
    theirs = F.conv1d(frames.transpose(1, 2), convolution.weight, convolution.bias, stride, padding).transpose(1, 2)
    torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-5)
    wanted = (frames, convolution.weight, convolution.bias)
    for a, b in zip(torch.autograd.grad(mine.square().sum(), wanted), torch.autograd.grad(theirs.square().sum(), wanted), strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_channel_norm_divides_by_the_unbiased_deviation() -> None:
    norm = ChannelNorm(8)
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2)
        norm.bias.uniform_(-1, 1)
    frames = torch.randn(3, 4, 8)
    expected = (frames - frames.mean(-1, keepdim=True)) / (frames.var(-1, keepdim=True, unbiased=True) + 1e-5).sqrt()
    torch.testing.assert_close(norm(frames), expected * norm.weight + norm.bias, atol=1e-5, rtol=1e-5)


def test_batch_norm_is_that_of_each_group_and_remembers_all_of_them() -> None:
    norm, plain = BatchNorm(6, group=2), torch.nn.BatchNorm1d(6)
    frames = 3 * torch.randn(4, 50, 6) + 1
    with torch.no_grad():
        for one in (norm, plain):
            one.weight.copy_(torch.arange(6) + 1.0)
    groups = frames.flatten(0, 1).split(100)
    expected = torch.cat([plain(group) for group in groups]).view_as(frames)
    torch.testing.assert_close(norm(frames), expected)
    assert norm.running_mean is not None
    assert not norm.running_mean.any()  # they move once an update
    norm.after_step()
    # As two moves by 0.1, but in no order: the start keeps 0.9 x 0.9.
    torch.testing.assert_close(norm.running_mean, 0.19 * frames.mean((0, 1)))
    torch.testing.assert_close(norm.running_var, 0.81 + 0.19 * torch.stack([group.var(0) for group in groups]).mean(0))
    normed = (frames - norm.running_mean) / (norm.running_var + 1e-5).sqrt() * norm.weight
    torch.testing.assert_close(norm.eval()(frames), normed)


def test_averages_of_batch_norm_do_not_depend_on_micro_batches_nor_on_what_is_not_finite() -> None:
    whole, cut = BatchNorm(6, group=2), BatchNorm(6, group=2)
    frames = torch.randn(8, 50, 6)
    whole(frames)
    for part in frames.split([2, 6]):
        cut(part)
    for norm in (whole, cut):
        norm.after_step()
    torch.testing.assert_close(cut.running_mean, whole.running_mean)
    torch.testing.assert_close(cut.running_var, whole.running_var)
    before = whole.running_mean.clone()
    whole(torch.full_like(frames, torch.inf))
    whole.after_step()
    assert torch.equal(whole.running_mean, before)


def test_cpc_frames() -> None:
    encoder = _encoder()
    assert (encoder.downsampling, encoder.receptive_field, encoder.first_sample) == (160, 465, -153)
    assert encoder(torch.zeros(1, 20_480)).shape == (1, 128, 16)
    assert encoder.frame_count(torch.tensor([20_480, 160, 161, 100, 319, 320])).tolist() == [
        encoder(torch.zeros(1, n)).shape[1] for n in (20_480, 160, 161, 100, 319, 320)
    ]
    full = StridedConvolutions(256, *CPC, "channel", group=1)
    assert sum(p.numel() for p in full.parameters()) == 1_317_120


def test_a_frame_depends_on_its_receptive_field_alone() -> None:
    waveform = torch.randn(1, 20_480, requires_grad=True)
    _encoder()(waveform)[0, 50].sum().backward()
    assert waveform.grad is not None
    seen = waveform.grad[0].nonzero().flatten()
    assert (seen.min().item(), seen.max().item()) == (160 * 50 - 153, 160 * 50 + 311)


@pytest.mark.parametrize("norm", ["channel", "batch", "none"])
def test_a_clip_is_encoded_as_if_it_were_alone(norm: str) -> None:
    encoder = _encoder(norm=norm)
    lengths = torch.tensor([3200, 1234, 4000])
    waveforms = torch.randn(3, 4000)
    together = encoder(waveforms, lengths)
    for i, length in enumerate(lengths.tolist()):
        alone = encoder(waveforms[i : i + 1, :length])
        torch.testing.assert_close(together[i, : alone.shape[1]], alone[0], atol=1e-5, rtol=1e-5)
        assert (together[i, alone.shape[1] :] == 0).all()


def test_latents_are_not_negative() -> None:
    assert _encoder()(torch.randn(2, 1600)).min() >= 0


@pytest.mark.parametrize("kernel, stride, padding", [(3, 2, 1), (5, 2, 2), (5, 3, 0), (2, 3, 1), (7, 4, 3), (4, 2, 1)])
def test_any_kernel_and_stride_give_what_torch_gives(kernel: int, stride: int, padding: int) -> None:
    torch.manual_seed(0)
    ours = StridedConvolution(3, 5, kernel, stride, padding).double()
    for frames in range(kernel, kernel + 9):
        values = torch.randn(2, frames, 3, dtype=torch.float64)
        theirs = torch.nn.functional.conv1d(values.mT, ours.weight, ours.bias, stride, padding).mT
        torch.testing.assert_close(ours(values), theirs)
