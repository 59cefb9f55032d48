"""x-vectors against convolutions, padding and plain statistics."""

import torch
import torch.nn.functional as F
from torch import nn

from foresay.evaluation.superb.layer_sum import LayerSum
from foresay.evaluation.superb.x_vector import CONTEXTS, DILATIONS, LOST, TDNN, XVectorHead, mean_and_deviation


def head(speakers: int = 3) -> XVectorHead:
    return XVectorHead(LayerSum(2), TDNN(4, 6, 8), (8, 5), speakers, normed=False)


def test_a_tdnn_is_a_stack_of_dilated_convolutions() -> None:
    tdnn, frames = TDNN(4, 6, 8), torch.randn(2, 20, 4)
    expected = tdnn.projector(frames).mT
    for layer, context, dilation in zip(tdnn.layers, CONTEXTS, DILATIONS, strict=True):
        assert isinstance(layer, nn.Linear)
        kernel = layer.weight.unflatten(1, (context, -1)).mT
        expected = F.conv1d(expected, kernel, layer.bias, dilation=dilation).relu()
    found = tdnn(frames)
    assert LOST == 14
    assert found.shape == (2, 6, 8)
    torch.testing.assert_close(found, expected.mT)


def test_statistics_are_those_of_the_frames_within_the_length() -> None:
    frames, lengths = torch.randn(3, 9, 4), torch.tensor([9, 4, 1])
    found = mean_and_deviation(frames, lengths)
    for row, (utterance, length) in enumerate(zip(frames, lengths.tolist(), strict=True)):
        real = utterance[:length]
        deviation = real.std(0, correction=0).clamp(min=1e-5)
        torch.testing.assert_close(found[row], torch.cat([real.mean(0), deviation]))


def test_padding_changes_nothing() -> None:
    model, frames = head().eval(), torch.randn(1, 20, 2, 4)
    padded = torch.cat([frames, torch.full((1, 7, 2, 4), 9.0)], 1)
    lengths = torch.tensor([20])
    torch.testing.assert_close(model(padded, lengths), model(frames, lengths))


def test_what_is_shorter_than_all_contexts_is_embedded_the_same_in_any_batch() -> None:
    model, frames = head().eval(), torch.randn(1, 5, 2, 4)
    alone = model(frames, torch.tensor([5]))
    assert alone.shape == (1, 5)
    batch = torch.cat([F.pad(frames, (0, 0, 0, 0, 0, 20)), torch.randn(1, 25, 2, 4)])
    torch.testing.assert_close(model(batch, torch.tensor([5, 25]))[:1], alone)


def test_in_training_cosines_with_speakers_and_else_embeddings() -> None:
    model, frames, lengths = head(), torch.randn(2, 20, 2, 4), torch.tensor([20, 17])
    cosines, embeddings = model(frames, lengths), model.eval()(frames, lengths)
    assert embeddings.shape == (2, 5)
    expected = F.cosine_similarity(model.output(embeddings).relu()[:, None], model.speakers, dim=-1)
    torch.testing.assert_close(cosines, expected)


def test_a_constant_feature_has_a_gradient() -> None:
    frames = torch.ones(1, 4, 2, requires_grad=True)
    (gradient,) = torch.autograd.grad(mean_and_deviation(frames, torch.tensor([4])).sum(), frames)
    torch.testing.assert_close(gradient, torch.full((1, 4, 2), 0.25))
