"""What a fine-tuning learns from: transcripts are checked before the first update, and what cannot be learnt from is left out and listed.

symbols that the vocabulary lacks    refused, counted
characters that are left out         said, counted
fewer frames than symbols            the utterance is left out; RUN/left-out.txt lists all of them
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from foresay.contracts import Recognizer
from foresay.corpora.item import transcript_of
from foresay.corpora.manifest import Manifest
from foresay.corpora.plans.windows import DataSettings
from foresay.errors import UserError
from foresay.files import write_text
from foresay.runs import Run

LISTED, SHOWN = "left-out.txt", 10


@dataclass
class Labelled:
    """A corpus, as a recognizer learns from it."""

    unfit: dict[str, str] = field(default_factory=dict)
    """Utterances that have fewer frames than their transcripts need: id, and how many of each."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Characters of the transcripts that are left out."""

    def note(self, name: str) -> str:
        """Say what is left out of the transcripts of the corpus `name`; "": nothing."""
        more = f", and {len(self.dropped) - SHOWN} more" if len(self.dropped) > SHOWN else ""
        counted = ", ".join(f"{character!r} ({count:,})" for character, count in self.dropped.most_common(SHOWN))
        return f"{name}: the normalization leaves out of the transcripts {counted}{more}" if counted else ""


def read_labelled(model: Recognizer, manifest: Manifest, data: DataSettings, purpose: str) -> Labelled:
    """Go through the transcripts of a corpus, `train` or `valid`.

    Raises:
        UserError: some have symbols that the vocabulary lacks; they are counted, and the first utterance is named. Or one takes too much
            memory.
    """
    found, missing, first = Labelled(), Counter[str](), ""
    frames = model.frame_count(torch.from_numpy(manifest.lengths(model.sample_rate)), model.layer_names[0]).tolist()
    for item, count in zip(manifest, frames, strict=True):
        text = transcript_of(item, data.transcript) or ""
        lacking = model.missing(text)
        first = first or (item.id if lacking else "")
        missing.update(lacking)
        found.dropped.update(model.dropped(text))
        if not lacking and (needed := model.frames_needed(text)) > count:
            found.unfit[item.id] = f"{count} frames for {needed}"
        elif not lacking and text and item.duration <= data.longest:
            model.check_memory(text, count)
    if missing:
        raise UserError(_refusal(manifest.name, purpose, missing, first))
    return found


def list_left_out(run: Run, labelled: Mapping[str, Labelled]) -> list[str]:
    """Write the utterances that are left out into the run's folder, if there are any, and say so."""
    lines = [f"{purpose}\t{name}\t{why}\n" for purpose, one in labelled.items() for name, why in one.unfit.items()]
    if lines:
        write_text(run.folder / LISTED, "".join(lines))
    return [f"{LISTED} in the run's folder lists the {len(lines):,} with fewer frames than symbols"] if lines else []


def all_notes(labelled: Mapping[str, Labelled]) -> list[str]:
    """Say what is left out of the transcripts of each corpus."""
    return [note for purpose, one in labelled.items() if (note := one.note(purpose))]


def _refusal(name: str, purpose: str, missing: Counter[str], first: str) -> str:
    counted = ", ".join(f"{symbol!r} ({count:,})" for symbol, count in missing.most_common(SHOWN))
    return (
        f"the transcripts of {name} ({purpose}) have symbols that the vocabulary lacks: {counted}; the first in {first}. "
        "Write them otherwise in the manifest, choose a normalization that maps or drops them (model.normalization), or state "
        "model.symbols"
    )
