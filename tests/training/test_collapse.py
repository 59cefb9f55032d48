"""The watch warns of a collapse, once, and not of learning."""

from foresay.training.collapse import WINDOW, CollapseWatch


def _watch(before: tuple[float, float], after: tuple[float, float]) -> list[str]:
    watch = CollapseWatch()
    seen = [watch.see({"accuracy": a, "latent_std": s}) for a, s in [before] * WINDOW + [after] * 3 * WINDOW]
    return [message for message in seen if message]


def test_learning_is_not_a_collapse() -> None:
    assert _watch((0.1, 0.2), (0.6, 0.3)) == []
    assert _watch((0.1, 0.4), (0.12, 0.15)) == []


def test_a_jump_with_falling_spread_is() -> None:
    (message,) = _watch((0.1, 0.4), (0.9, 0.05))
    assert "possible collapse" in message
    assert "optimizer.lr" in message


def test_constant_latents_are_at_once() -> None:
    assert CollapseWatch().see({"accuracy": 0.1, "latent_std": 1e-6}) is not None


def test_models_without_these_scalars_are_not_watched() -> None:
    assert CollapseWatch().see({"loss": 1.0}) is None
