"""The watch warns of a collapse, once, and not of learning."""

import pytest

from foresay.training.collapse import WINDOW, CollapseWatch


def _watch(before: tuple[float, float], after: tuple[float, float], scalar: str = "latent_std") -> list[str]:
    watch = CollapseWatch()
    seen = [watch.watch({"accuracy": a, scalar: s}) for a, s in [before] * WINDOW + [after] * 3 * WINDOW]
    return [message for message in seen if message]


@pytest.mark.parametrize("scalar, scale", [("latent_std", 1), ("code_perplexity", 600), ("code_use", 1)])
def test_learning_is_not_a_collapse(scalar: str, scale: float) -> None:
    assert _watch((0.1, 0.2 * scale), (0.6, 0.3 * scale), scalar) == []
    assert _watch((0.1, 0.4 * scale), (0.12, 0.15 * scale), scalar) == []


def test_a_jump_with_falling_spread_is() -> None:
    (message,) = _watch((0.1, 0.4), (0.9, 0.05))
    assert "possible collapse: accuracy" in message
    assert "the latents' spread fell 0.4 -> 0." in message
    assert "optimizer.lr" in message


@pytest.mark.parametrize(
    "scalar, said", [("code_perplexity", "the codes' perplexity fell"), ("code_use", "the share of codes in use fell")]
)
def test_so_is_a_jump_with_falling_use_of_the_codes(scalar: str, said: str) -> None:
    (message,) = _watch((0.1, 0.8 * 600), (0.9, 0.05 * 600), scalar)
    assert said in message
    assert "model.diversity" in message


def test_constant_latents_are_at_once() -> None:
    assert CollapseWatch().watch({"accuracy": 0.1, "latent_std": 1e-6}) is not None


def test_one_code_for_everything_is_unless_it_is_the_beginning() -> None:
    """However many codebooks there are: with one code each their perplexity is 1."""
    watch = CollapseWatch()
    assert [watch.watch({"accuracy": 0.1, "code_perplexity": 1.0}) for _ in range(2 * WINDOW - 1)] == [None] * (2 * WINDOW - 1)
    assert "nearly all frames have the same code (perplexity 1.0)" in (watch.watch({"accuracy": 0.1, "code_perplexity": 1.0}) or "")


def test_models_without_these_scalars_are_not_watched() -> None:
    assert CollapseWatch().watch({"loss": 1.0}) is None
    assert CollapseWatch().watch({"code_perplexity": 1.0}) is None


def test_what_is_known_from_the_start_was_never_learnt() -> None:
    """An all-silent corpus: every frame has one code, and BEST-RQ is right in all of them."""
    watch = CollapseWatch()
    assert watch.watch({"accuracy": 1.0, "latent_std": 0.3}) is None
    assert "always the same" in (watch.watch({"accuracy": 1.0, "latent_std": 0.3}) or "")
    learner = CollapseWatch()
    assert [learner.watch({"accuracy": a, "latent_std": 0.3}) for a in (0.2, *[1.0] * WINDOW)] == [None] * (WINDOW + 1)
