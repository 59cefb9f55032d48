"""Every row of Table 6 of wav2vec 2.0 is a recipe, as the paper states it and as the released configurations do."""

import pytest

from foresay.training.optimizers import learning_rate
from foresay.training.recipe import read_recipe
from foresay.workflows.catalog import list_recipes

PAPER = {
    "10min": (0.075, 0.008, 12_000),
    "1h": (0.075, 0.004, 13_000),
    "10h": (0.065, 0.004, 20_000),
    "100h": (0.05, 0.008, 50_000),
    "960h": (0.05, 0.0016, 320_000),
    "timit": (0.065, 0.012, 40_000),
}
"""Of a frame to begin a masked span, of a channel, updates (arXiv:2006.11477, Table 6)."""
RELEASED = {
    "base": {
        "10min": (0.65, 0.25, 13_000, 5e-5, 10_000),
        "1h": (0.65, 0.25, 13_000, 5e-5, 10_000),
        "10h": (0.65, 0.5, 20_000, 5e-5, 10_000),
        "100h": (0.65, 0.5, 80_000, 3e-5, 0),
        "960h": (0.5, 0.1, 320_000, 1e-4, 0),
    },
    "large": {
        "10min": (0.65, 0.25, 13_000, 1e-4, 10_000),
        "1h": (0.75, 0.25, 13_000, 3e-4, 10_000),
        "10h": (0.75, 0.25, 20_000, 1e-4, 10_000),
        "100h": (0.5, 0.5, 80_000, 3e-5, 10_000),
        "960h": (0.5, 0.25, 320_000, 3e-5, 10_000),
    },
}
"""fairseq: mask_prob, mask_channel_prob, max_update, lr, freeze_finetune_updates. Its probabilities are ours times a span's length."""


@pytest.mark.parametrize("size", ["base", "large"])
@pytest.mark.parametrize("row", PAPER)
def test_the_papers_reading(row: str, size: str) -> None:
    recipe = read_recipe(f"ctc-{size}-{row}")
    s = recipe.model_settings
    assert (s.mask_probability, s.channel_probability, recipe.trainer.steps) == PAPER[row]
    assert (s.mask_length, s.channel_length, s.layer_drop) == (10, 64, {"base": 0.05, "large": 0.1}[size])
    assert (s.freeze, s.freeze_updates, s.dropout, s.encoder_dropout, s.activation_dropout) == ("convolutions", 10_000, 0.0, 0.0, 0.1)
    assert recipe.data.seconds == {"base": 1600.0, "large": 1920.0}[size]
    assert (s.units, recipe.data.transcript) == (("phones", "phones") if row == "timit" else ("letters", "text"))
    steps = recipe.trainer.steps
    assert steps is not None
    rates = [learning_rate(recipe.optimizer, round(share * steps), steps) / recipe.optimizer.lr for share in (0.05, 0.1, 0.49, 0.75)]
    assert rates == pytest.approx([0.505, 1.0, 1.0, 0.525], abs=1e-3)  # a tenth of warm-up, four to hold, and a line


@pytest.mark.parametrize("size, row", [(size, row) for size, rows in RELEASED.items() for row in rows])
def test_the_released_reading(size: str, row: str) -> None:
    recipe = read_recipe(f"ctc-{size}-{row}-released")
    s = recipe.model_settings
    found = (10 * s.mask_probability, 64 * s.channel_probability, recipe.trainer.steps, recipe.optimizer.lr, s.freeze_updates)
    assert found == pytest.approx(RELEASED[size][row])
    assert s.layer_drop == (0.05 if (size, row) == ("base", "10h") else 0.1)
    assert (recipe.optimizer.schedule, recipe.optimizer.final, recipe.optimizer.initial) == ("exponential", 0.05, 0.01)


def test_all_are_listed() -> None:
    rows = {f"ctc-{size}-{row}" for size in RELEASED for row in PAPER} | {
        f"ctc-{size}-{row}-released" for size, rows in RELEASED.items() for row in rows
    }
    assert rows <= set(list_recipes())
