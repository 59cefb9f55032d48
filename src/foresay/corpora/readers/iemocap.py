"""IEMOCAP: acted emotions in five sessions, as SUPERB's four classes and five folds.

    Session1/dialog/EmoEvaluation/Ses01F_impro01.txt          [6.29 - 8.23] TAB Ses01F_impro01_F000 TAB neu TAB …
    Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav

The classes are neutral, happy (with excited), angry and sad; other utterances are in the manifest of everything only, with the label as it
is. `fold1/test.jsonl` is session 1, and so on. Of the other four sessions, every fifth utterance of a class is for validation: SUPERB draws
a fifth, which has the speakers of training too. The speaker is who speaks, not whose dialogue it is (in Ses01F_impro01 both are recorded).
C. Busso et al., "IEMOCAP: interactive emotional dyadic motion capture database", 2008.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from foresay.corpora.manifest import Item
from foresay.corpora.reader import FoundItem, Reader, Skipped, files
from foresay.errors import UserError
from foresay.files import text_lines

SESSIONS = range(1, 6)
CLASSES = {"neu": "neutral", "hap": "happy", "exc": "happy", "ang": "angry", "sad": "sad"}
UTTERANCE = re.compile(r"\[[^\]]*\]\t(?P<dialogue>(?P<session>Ses\d\d)[FM]_\w+)_(?P<speaker>[FM])(?P<turn>\w+)\t(?P<emotion>\w+)\t")
HELD_OUT = 5
"""One utterance of a class in so many is for validation."""


class _Utterance(NamedTuple):
    id: str
    path: Path
    session: int
    speaker: str
    label: str


@dataclass(frozen=True)
class Iemocap(Reader):
    """Reads IEMOCAP."""

    def find(self, source: Path) -> Iterator[FoundItem | Skipped]:
        """Find every utterance that was judged."""
        utterances = [utterance for session in SESSIONS for utterance in _judged(source, session)]
        splits: dict[str, list[str]] = {utterance.id: [] for utterance in utterances}
        used = sorted((one for one in utterances if one.label in CLASSES.values()), key=lambda one: (one.label, one.id))
        for fold in SESSIONS:
            tested = [one for one in used if one.session == fold]
            others = [one for one in used if one.session != fold]
            valid = others[HELD_OUT - 1 :: HELD_OUT]
            held_out = {one.id for one in valid}
            for split, some in (("train", [one for one in others if one.id not in held_out]), ("valid", valid), ("test", tested)):
                _refuse_empty(f"fold{fold}/{split}", some)
                for one in some:
                    splits[one.id].append(f"fold{fold}/{split}")
        for one in utterances:
            yield FoundItem(Item(one.id, one.path, speaker=one.speaker, language="en", label=one.label), tuple(splits[one.id]))


def _judged(source: Path, session: int) -> list[_Utterance]:
    """Read what the emotions of a session's utterances are, sorted."""
    folder = source / f"Session{session}"
    found = []
    for path in files(folder / "dialog" / "EmoEvaluation", {".txt"}):
        if path.parent.name == "EmoEvaluation":  # what single judges said is below
            for line in filter(None, map(UTTERANCE.match, text_lines(path, otherwise="latin-1"))):
                name = f"{line['dialogue']}_{line['speaker']}{line['turn']}"
                audio = folder / "sentences" / "wav" / line["dialogue"] / f"{name}.wav"
                label = CLASSES.get(line["emotion"], line["emotion"])
                found.append(_Utterance(name, audio, session, line["session"] + line["speaker"], label))
    return sorted(found)


def _refuse_empty(split: str, utterances: Sequence[_Utterance]) -> None:
    if empty := sorted(set(CLASSES.values()) - {one.label for one in utterances}):
        msg = f"{split} would have no utterances that are {' or '.join(empty)}: are all five sessions there, with dialog/EmoEvaluation?"
        raise UserError(msg)
