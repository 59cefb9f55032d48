"""Latent regression: its loss is the mean squared error of its head."""

import torch

from foresay.contracts import Batch
from foresay.models.representation.latent_regression import LatentRegression, LatentRegressionSettings


def test_a_head_of_zeros_errs_by_the_power_of_the_latents() -> None:
    model = LatentRegression(LatentRegressionSettings(channels=8, context_size=8))
    model.head.weight.data.zero_()
    model.head.bias.data.zero_()
    batch = Batch(("a", "b"), torch.randn(2, 8_000), torch.tensor([8_000, 8_000]))
    loss = model(batch, 0).total()
    torch.testing.assert_close(loss, model.encoder(batch.waveforms)[:, 3:].square().mean())
