r"""Watch for the blank plateau of CTC: at first a recognizer writes nothing, for it has learnt how frequent symbols are and no more.

    nats a symbol    4 |\
                       | \______________             all but all frames are blank: no fault, and it ends
      entropy of     3 |                \_
      the symbols      |                  \___       symbols are written
                     0 +-------------------------- updates

A loss well below the entropy while still nothing is written, for long, is a fault.
"""

from collections.abc import Mapping
from typing import Any

from foresay.errors import UserError

BLANK = 0.99
"""Share of blank frames above which nothing is written."""
FAULT = 0.8
"""Of the symbols' entropy: a loss below it, 2.3 nats a letter in English, comes of more than their frequencies."""
PATIENCE = 20
"""Logged steps in a row after which that is a fault: just before symbols are written, it is so for a while."""
SHORTENED = (
    "What shortens it: more audio an update (data.seconds), a higher optimizer.lr, a model.freeze_updates that ends sooner, waveforms "
    "prepared as in the encoder's pre-training, an encoder that knows more of speech, model.stack = 2 where it gives 100 frames a second"
)


class PlateauWatch:
    """Follows the share of blank frames, the loss, and the entropy of the symbols."""

    def __init__(self) -> None:
        self.length, self.low = 0, 0
        """Logged steps in a row without anything written, and with a loss that is too low for that."""

    def state(self) -> dict[str, Any]:
        """Return what a resumed run must know."""
        return {"length": self.length, "low": self.low}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from where another watch was."""
        self.length, self.low = state.get("length", 0), state.get("low", 0)

    def watch(self, scalars: Mapping[str, float]) -> str | None:
        """Take the scalars of a logged step; return what there is to say: when a plateau is there, at each doubling, and when it ends.

        Raises:
            UserError: nothing is written though the loss is far below that of a plateau.
        """
        if not {"blank", "loss", "symbol_entropy"} <= scalars.keys():
            return None
        blank, loss, entropy = scalars["blank"], scalars["loss"], scalars["symbol_entropy"]
        before, self.length = self.length, self.length + 1 if blank > BLANK else 0
        self.low = self.low + 1 if blank > BLANK and loss < FAULT * entropy else 0
        if self.low >= PATIENCE:
            raise UserError(_fault(blank, loss, entropy))
        if not self.length:
            return f"the plateau is over: {1 - blank:.1%} of the frames have a symbol, at {loss:.2f} nats each" if before > 1 else None
        if self.length == 1 or self.length & (self.length - 1):
            return None
        return (
            f"plateau: {blank:.1%} of the frames are blank, at {loss:.2f} nats a symbol; to know how frequent symbols are, and no more, "
            f"costs {entropy:.2f}. This is no fault: it lasts some hundred updates on a pre-trained encoder, from scratch some thousand. "
            f"{SHORTENED}"
        )


def _fault(blank: float, loss: float, entropy: float) -> str:
    return (
        f"{blank:.1%} of the frames are blank, for {PATIENCE} logged steps, though the loss is {loss:.2f} nats a symbol, far below the "
        f"{entropy:.2f} at which frequencies alone are learnt: what is learnt is never written. Usual causes: the blank is not symbol 0 of "
        "model.symbols (it was taken from another toolkit), or texts that are nearly all alike. Checkpoints are kept; look at what "
        "`foresay transcribe` writes"
    )
