"""Audio SNIPS, as SUPERB's slot filling: commands to an assistant, in 16 synthetic voices.

    all.iob.snips.txt                   Ivy-snips-train-0 BOS PLAY THE BEATLES EOS TAB O O artist artist PlayMusic
    train/Ivy-snips-train-0.wav, valid/…, test/…

`text` is what is said, `target` the same with its slots, `PLAY B-artist THE BEATLES E-artist`, and `label` the intent. A split has voices
of its own, as SUPERB has it; other voices are in the manifest of everything only. Equal neighbors are one slot, unless B- and I- part them.
C.-I. Lai et al., "Semi-supervised spoken language understanding via self-supervised speech and language model pretraining", ICASSP 2021.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from foresay.corpora.manifest import Item
from foresay.corpora.reader import FoundItem, Reader, Skipped, files, listed
from foresay.errors import UserError

VOICES: Mapping[str, tuple[str, ...]] = {
    "train": ("Ivy", "Joanna", "Joey", "Justin", "Kendra", "Kimberly", "Matthew", "Salli"),
    "valid": ("Aditi", "Amy", "Geraint", "Nicole"),
    "test": ("Brian", "Emma", "Raveena", "Russell"),
}
TEXTS = "all.iob.snips.txt"
MARKS = "?!.,;-"
SPELLED = {"&": "AND"}
OUTSIDE = "O"


class _Command(NamedTuple):
    words: list[str]
    slots: list[str]
    """Of each word: O, a type, or B-TYPE and I-TYPE."""
    intent: str


@dataclass(frozen=True)
class AudioSnips(Reader):
    """Reads Audio SNIPS."""

    def find(self, source: Path) -> Iterator[FoundItem | Skipped]:
        """Find every command."""
        commands: dict[str, _Command] = {}
        for line in listed(source, TEXTS):
            try:
                commands.update([_command(line)])
            except ValueError:
                yield Skipped(source / TEXTS, f"{line!r} is not `ID BOS WORDS EOS TAB O SLOTS INTENT`, with as many slots as words")
        _refuse_unlearned(commands)
        for split, voices in VOICES.items():
            paths = {path.stem: path for path in files(source / split, {".wav", ".flac", ".mp3"})}
            if not any(_voice(name) in voices for name in paths.keys() & commands.keys()):
                msg = f"{source / split} has no clips of {', '.join(voices)} that {TEXTS} lists: SUPERB has these voices for {split}"
                raise UserError(msg)
            for name, path in paths.items():
                if command := commands.get(name):
                    text, target, voice = " ".join(command.words), with_slots(command.words, command.slots), _voice(name)
                    item = Item(name, path, speaker=voice, language="en", text=text, label=command.intent, target=target)
                    yield FoundItem(item, (split,) if voice in voices else ())
                else:
                    yield Skipped(path, f"no line of {TEXTS} is about it")
            for name in commands:
                if f"-{split}-" in name and _voice(name) in voices and name not in paths:
                    yield Skipped(source / split / f"{name}.wav", f"{name} stands in {TEXTS}, and there is no such file")


def with_slots(words: Sequence[str], slots: Sequence[str]) -> str:
    """Mark where slots begin and end.

    >>> with_slots(["play", "the", "beatles", "now"], ["O", "artist", "artist", "O"])
    'play B-artist the beatles E-artist now'
    >>> with_slots(["queen", "abba"], ["B-artist", "B-artist"])
    'B-artist queen E-artist B-artist abba E-artist'
    """
    marked, inside = list[str](), OUTSIDE
    for word, slot in zip((*words, ""), (*slots, OUTSIDE), strict=True):
        kind = _kind(slot)
        if inside != OUTSIDE and (kind != inside or slot.startswith("B-")):
            marked.append(f"E-{inside}")
            inside = OUTSIDE
        if kind != inside:
            marked.append(f"B-{kind}")
            inside = kind
        marked.append(word)
    return " ".join(marked[:-1])


def _kind(slot: str) -> str:
    return slot[2:] if slot[:2] in {"B-", "I-"} else slot


def _voice(name: str) -> str:
    return name.partition("-")[0]


def _command(line: str) -> tuple[str, _Command]:
    """Read a line. Marks are not spoken, and come without.

    Raises:
        ValueError: it is none.
    """
    said, _, meant = line.partition("\t")
    name, first, *words, last = said.split()
    outside, *slots, intent = meant.split()
    if (first, last, outside) != ("BOS", "EOS", OUTSIDE):
        msg = "no sentence"
        raise ValueError(msg)
    spoken = [(SPELLED.get(word, word), slot) for word, slot in zip(words, slots, strict=True) if word.strip(MARKS)]
    return name, _Command([word for word, _ in spoken], [slot for _, slot in spoken], intent)


def _refuse_unlearned(commands: Mapping[str, _Command]) -> None:
    """Refuse slots that are only in validation or testing: nobody could fill them."""
    kinds: dict[str, set[str]] = {split: set() for split in VOICES}
    for name, command in commands.items():
        for split, voices in VOICES.items():
            if f"-{split}-" in name and _voice(name) in voices:
                kinds[split].update(map(_kind, command.slots))
    if strange := sorted((kinds["valid"] | kinds["test"]) - kinds["train"]):
        msg = f"{TEXTS} has no commands for training with {', '.join(strange)}, which stand in others: is it whole?"
        raise UserError(msg)
