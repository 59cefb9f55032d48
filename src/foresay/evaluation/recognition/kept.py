"""What evaluation keeps of a recognizer's errors, beside the rates: transcripts, rates of groups, and the sound of some utterances.

Reports and comparisons read it, and decode nothing again; nothing here imports torch.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from foresay.statistics.word_errors import Compared, Piece, pieces

Unit: TypeAlias = Literal["word", "phone"]
"""What texts are made of, with spaces between."""


class Group(NamedTuple):
    """Utterances of about one length, those of one speaker, or words that the training text has about as often."""

    label: str
    words: int
    errors: int
    low: float | None
    """The ends of the 95 % interval of the rate; None: there are fewer than five utterances."""
    high: float | None

    @property
    def rate(self) -> float:
        """Errors by words."""
        return self.errors / self.words


@dataclass(frozen=True)
class KeptErrors:
    """Transcripts of a corpus, and what was found in them."""

    pairs: Sequence[Compared]
    groups: Mapping[str, Sequence[Group]]
    """By `length`, `speaker`, `frequency`; what does not apply is missing."""
    sounds: Mapping[str, NDArray[np.int16]]
    """Waveforms (S,) of some utterances, by their ids."""
    sample_rate: int
    unit: Unit = "word"

    def cut(self, pair: Compared) -> list[Piece]:
        """Cut an utterance into pieces that stand for each other."""
        return pieces(pair.reference.split(), pair.hypothesis.split(), compounds=self.unit == "word")

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Write it as the arrays of a result."""
        return {
            "transcripts": np.array(json.dumps(self.pairs, ensure_ascii=False)),
            "groups": np.array(json.dumps(self.groups, ensure_ascii=False)),
            "sound": np.concatenate([np.zeros(0, dtype=np.int16), *self.sounds.values()]),
            "sound_ends": np.cumsum([len(waveform) for waveform in self.sounds.values()], dtype=np.int64),
            "sound_ids": np.array(json.dumps(list(self.sounds), ensure_ascii=False)),
            "sample_rate": np.array(self.sample_rate),
            "unit": np.array(self.unit),
        }

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]] | None) -> "KeptErrors | None":
        """Read the arrays of a result; None: it has no transcripts."""
        if not arrays or "transcripts" not in arrays:
            return None
        waveforms = np.split(arrays["sound"], arrays["sound_ends"])[:-1]
        return cls(
            [Compared(*pair) for pair in json.loads(str(arrays["transcripts"]))],
            {by: [Group(*group) for group in groups] for by, groups in json.loads(str(arrays["groups"])).items()},
            dict(zip(json.loads(str(arrays["sound_ids"])), waveforms, strict=True)),
            int(arrays["sample_rate"]),
            "phone" if str(arrays["unit"]) == "phone" else "word",
        )
