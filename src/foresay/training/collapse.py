"""Collapse watch: the loss falls and the accuracy jumps because the latents have become trivial, not because the model has learnt."""

from collections import deque

WINDOW = 20
"""Logged steps in each of the two windows compared."""


class CollapseWatch:
    """Compares the last logged steps with those before them.

    Collapse looks like a success (accuracy up, loss down) unless the spread of the latents is seen to fall at the same time.
    """

    def __init__(self) -> None:
        self.accuracies: deque[float] = deque(maxlen=2 * WINDOW)
        self.spreads: deque[float] = deque(maxlen=2 * WINDOW)
        self.warned = False

    def see(self, scalars: dict[str, float]) -> str | None:
        """Take the scalars of a logged step; return a warning, once, if they look like a collapse."""
        if self.warned or not {"accuracy", "latent_std"} <= scalars.keys():
            return None
        self.accuracies.append(scalars["accuracy"])
        self.spreads.append(scalars["latent_std"])
        if scalars["latent_std"] < 1e-4:  # noqa: PLR2004 - latents after a channel norm spread about 0.1 to 1
            return self._warn(f"the latents hardly differ from frame to frame (standard deviation {scalars['latent_std']:.1e})")
        if len(self.accuracies) < 2 * WINDOW:
            return None
        accuracy_before, accuracy_now = _halves(self.accuracies)
        spread_before, spread_now = _halves(self.spreads)
        if accuracy_now - accuracy_before > 0.2 and spread_now < spread_before / 2:  # noqa: PLR2004 - a jump beside a halving
            spread = f"the latents' spread fell {spread_before:.3f} -> {spread_now:.3f}"
            jump = f"accuracy {accuracy_before:.2f} -> {accuracy_now:.2f} while {spread}"
            return self._warn(jump)
        return None

    def _warn(self, what: str) -> str:
        self.warned = True
        return (
            f"possible collapse: {what}. Usual causes: silent or repeated audio, a learning rate too high for this batch size, "
            "no warm-up. Try `foresay corpus check`, a lower optimizer.lr or a longer optimizer.warmup."
        )


def _halves(values: deque[float]) -> tuple[float, float]:
    listed = list(values)
    return sum(listed[:WINDOW]) / WINDOW, sum(listed[WINDOW:]) / WINDOW
