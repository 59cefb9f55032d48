"""Fluent Speech Commands: spoken commands; the label is the intent, `action | object | location`.

    data/train_data.csv, valid_data.csv, test_data.csv    path, speakerId, transcription, action, object, location
    wavs/speakers/SPEAKER/ID.wav

The splits are the official ones: other speakers in each. L. Lugosch et al., "Speech Model Pre-training for End-to-End Spoken Language
Understanding", Interspeech 2019.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from foresay.corpora.manifest import Item
from foresay.corpora.reader import FoundItem, Reader, Skipped, table
from foresay.errors import UserError

SLOTS = ("action", "object", "location")
COLUMNS = ("path", "speakerId", "transcription", *SLOTS)


@dataclass(frozen=True)
class FluentSpeechCommands(Reader):
    """Reads Fluent Speech Commands."""

    def find(self, source: Path) -> Iterator[FoundItem | Skipped]:
        """Find every command that is listed."""
        known = {(slot, row[slot]) for row in table(source / "data" / "train_data.csv", *COLUMNS) for slot in SLOTS}
        for split in ("train", "valid", "test"):
            path = source / "data" / f"{split}_data.csv"
            for row in table(path, *COLUMNS):
                label = " | ".join(row[slot] for slot in SLOTS)
                if strange := [f"{slot} {row[slot]!r}" for slot in SLOTS if (slot, row[slot]) not in known]:
                    msg = f"{path} has {row['path']} with the {' and the '.join(strange)}, of which train_data.csv has none: is it whole?"
                    raise UserError(msg)
                speaker, audio = row["speakerId"], source / row["path"]
                item = Item(f"{speaker}/{audio.stem}", audio, speaker=speaker, language="en", text=row["transcription"], label=label)
                yield FoundItem(item, (split,))
