"""Pixels are pixels."""

import torch

from foresay.baselines.pixels import Pixels


def test_a_picture_of_its_size_is_as_it_is() -> None:
    images = torch.rand(2, 3, 32, 32)
    frames = Pixels().image_features(images)
    assert torch.equal(frames.values["pixels"], images.reshape(2, 1, 3072))
    assert frames.lengths["pixels"].tolist() == [1, 1]
    assert Pixels().modalities == ("image",)


def test_a_larger_one_is_averaged_over_equal_areas() -> None:
    image = torch.rand(1, 3, 128, 128)
    found = Pixels().image_features(image).values["pixels"].view(3, 32, 32)
    assert torch.allclose(found[1, 5, 7], image[0, 1, 20:24, 28:32].mean())
    assert Pixels().image_features(torch.rand(1, 3, 40, 50)).values["pixels"].shape == (1, 1, 3072)
