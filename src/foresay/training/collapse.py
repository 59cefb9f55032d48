"""Collapse watch: the loss falls and the accuracy jumps because latents or codes have become trivial, not because the model has learnt."""

from collections import defaultdict, deque
from collections.abc import Mapping
from typing import Any, NamedTuple

WINDOW = 20
"""Logged steps in each of the two windows compared."""


class Sign(NamedTuple):
    """A scalar that falls in a collapse."""

    name: str
    """In the sentence `… fell 0.4 -> 0.1`."""
    floor: float
    """It is below this only if the model has collapsed."""
    patience: int
    """Logged steps after which that is no longer a beginning."""
    trivial: str
    """The message in that case."""


SIGNS = {
    "latent_std": Sign("the latents' spread", 1e-4, 1, "the latents hardly differ from frame to frame (standard deviation {:.1e})"),
    "code_perplexity": Sign("the codes' perplexity", 2.0, 2 * WINDOW, "nearly all frames have the same code (perplexity {:.1f})"),
    "code_use": Sign("the share of codes in use", 0.0, 2 * WINDOW, ""),
}
"""Latents after a channel norm spread about 0.1 to 1. An untrained encoder's frames are so alike that they may share a code at first."""

CAUSES = {
    "latent_std": "Usual causes: silent or repeated audio, a learning rate too high for this batch size, no warm-up. "
    "Try `foresay corpus check`, a lower optimizer.lr or a longer optimizer.warmup.",
    "code": "Usual causes: a learning rate too high for this batch size, too little weight on diversity, a temperature that falls too "
    "fast. Try a lower optimizer.lr, a longer optimizer.warmup or a larger model.diversity.",
}


FIRST, PERFECT = 2, 0.99
"""An accuracy this high in each of the first logged steps has not been learnt: the task is trivial."""
SAME = (
    "always the same, or stands in what the model is given. Usual causes: silent or repeated audio (`foresay corpus check` finds it), "
    "labels of one class."
)


class CollapseWatch:
    """Compares the last logged steps with those before them.

    Collapse looks like a success (accuracy up, loss down) unless the spread of the latents, or the use of the codes, is seen to fall at the
    same time.
    """

    def __init__(self) -> None:
        self._seen: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=2 * WINDOW))
        self.warned = False

    def state(self) -> dict[str, Any]:
        """Return what a resumed run must know."""
        return {"seen": {name: list(values) for name, values in self._seen.items()}, "warned": self.warned}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from where another watch was."""
        self._seen.clear()
        for name, values in state.get("seen", {}).items():
            self._seen[name].extend(values)
        self.warned = state.get("warned", False)

    def watch(self, scalars: dict[str, float]) -> str | None:
        """Take the scalars of a logged step; return a warning, once, if they look like a collapse."""
        if self.warned or "accuracy" not in scalars:
            return None
        for name in ("accuracy", *SIGNS):
            if name in scalars:
                self._seen[name].append(scalars[name])
        if len(self._seen["accuracy"]) == FIRST and min(self._seen["accuracy"]) > PERFECT:
            self.warned = True
            return f"possible collapse: accuracy {scalars['accuracy']:.2f} from the first updates on: what is to be predicted is {SAME}"
        for name in [name for name in SIGNS if name in scalars]:
            if what := self._trivial(name) or self._jump(name):
                self.warned = True
                return f"possible collapse: {what}. {CAUSES.get(name, CAUSES['code'])}"
        return None

    def _trivial(self, name: str) -> str | None:
        """Report a value that only a collapsed model has."""
        sign, values = SIGNS[name], self._seen[name]
        if len(values) >= sign.patience and values[-1] < sign.floor:
            return sign.trivial.format(values[-1])
        return None

    def _jump(self, name: str) -> str | None:
        """Report an accuracy that jumps beside a value that halves."""
        if len(self._seen[name]) < 2 * WINDOW:
            return None
        (accuracy_before, accuracy_now), (before, now) = (_halves(self._seen[one]) for one in ("accuracy", name))
        if accuracy_now - accuracy_before <= 0.2 or now >= before / 2:  # noqa: PLR2004 - a jump beside a halving
            return None
        return f"accuracy {accuracy_before:.2f} -> {accuracy_now:.2f} while {SIGNS[name].name} fell {before:.3g} -> {now:.3g}"


def _halves(values: deque[float]) -> tuple[float, float]:
    listed = list(values)
    return sum(listed[:WINDOW]) / WINDOW, sum(listed[WINDOW:]) / WINDOW
