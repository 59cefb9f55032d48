"""Give a transcribed corpus times by a recognizer of ours: forced alignment by CTC or by HMMs, in any language that there is one for.

    manifest with texts --> normalized, spelled --> emissions or likelihoods --> best path --> words or phones with times, or why not

What is aligned is written down at once, beside the manifest to be: a command that was stopped goes on where it was.
"""

import json
import math
import os
import statistics
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import torch

from foresay.contracts import Emissions, EmittingRecognizer, Encoded, Recognizer, StateRecognizer
from foresay.corpora.manifest import Interval, Item, Manifest, write_manifest
from foresay.decoding.emissions import required_frames
from foresay.decoding.state_alignment import StateChain
from foresay.encoding.recordings import draw_recordings
from foresay.encoding.state_times import Pronounced, align_pronounced
from foresay.encoding.text_alignment import known_transcript
from foresay.encoding.transcripts import encoded_of
from foresay.encoding.word_times import AlignedText, Prior, Word, align_text
from foresay.errors import AudioError, UserError
from foresay.files import make_folder
from foresay.fingerprint import of_model
from foresay.training.devices import find_process
from foresay.workflows.align import ForcedAlignment, listed, open_transcribed
from foresay.workflows.transcribe import load_recognizer

CELLS = 2**30
"""Frames x states of an utterance, at most: so many bytes of memory."""
SAMPLE = 120.0
"""Seconds of the corpus, drawn at random, which say what the recognizer does in general."""

Record: TypeAlias = dict[str, Any]
"""What became of an item: its `id`, and `times` of words or phones as (start, end, label) and its `doubt`, or `why` it has none."""


@dataclass(frozen=True)
class AlignmentSettings:
    """How a text is aligned, and when it is not."""

    prior: float = 0.0
    """Share of log p of each symbol in general that is subtracted at alignment (arXiv:2406.02560): above 0 symbols are longer and blanks
    fewer. 0: the network's own best path."""
    doubt: float = 0.65
    """By how much, at most, a text may be less likely than the likeliest there is, nats a symbol, as a share of that of texts that are
    wrong, the corpus's own backwards: 0 is the likeliest text, 1 a wrong one. Beyond, it is not what was said."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value < math.inf:
                msg = f"{name} = {value}: it is 0 or more"
                raise UserError(msg)


def align_corpus_with(
    model: str | Path | Recognizer,
    manifest: str | Path,
    destination: str | Path,
    settings: AlignmentSettings | None = None,
    *,
    device: str | None = None,
) -> ForcedAlignment:
    """Write the manifest `destination`: that of `manifest`, with times of words or, by a recognizer of phones, of phones.

    An item that cannot be aligned stays, without these times. Other times that it has, it keeps.

    Raises:
        UserError: no item has a text, `destination` is there already, or was begun otherwise; the model is no recognizer.
    """
    target, settings = Path(destination), settings or AlignmentSettings()
    opened = open_transcribed(Path(manifest), target)
    place = str(find_process(device).device)
    recognizer = model if isinstance(model, Recognizer) else load_recognizer(model, place)
    aligning = _Aligning(_way_of(recognizer, settings), opened, settings, place)
    make_folder(target.parent)
    with _Journal.opened(target, [opened.digest, of_model(recognizer), settings.prior, settings.doubt]) as journal:
        for record in aligning.records(set(journal.known)):
            journal.add(record)
        found = journal.known
        write_manifest(target, (_timed(item, found[item.id], aligning.way.kinds) for item in opened), phone_set=opened.phone_set)
    left = {name: record["why"] for name, record in found.items() if "why" in record}
    done = ForcedAlignment(target, len(found) - len(left), {name: left[name] for name in opened.ids if name in left})
    done.missing = aligning.missing
    done.left_list = listed(done)
    return done


def _timed(item: Item, record: Record, kinds: Sequence[str]) -> Item:
    """Give an item the times that were found: of its words, of its phones, or of both."""
    times = {kind: tuple(Interval(*interval) for interval in record["times"][kind]) if "times" in record else None for kind in kinds}
    return replace(item, **times)  # type: ignore[arg-type]


class _Way(ABC):
    """How a kind of recognizer aligns texts."""

    recognizer: Recognizer
    kinds: Sequence[str]
    """What it gives times to: `words`, `phones`."""

    @abstractmethod
    def study(self, layer: Encoded, text: str) -> float | None:
        """Learn from an utterance of a sample what the recognizer does in general. Returns its doubt of a wrong text, if that fits."""

    @abstractmethod
    def needs(self, text: str) -> tuple[int, int]:
        """Count the frames that a text takes at least, and the states of its lattice."""

    @abstractmethod
    def align(self, layer: Encoded, text: str, duration: float) -> AlignedText:
        """Align a normalized text with what the recognizer makes of the audio, its layer (1, T, D)."""


def _way_of(recognizer: Recognizer, settings: AlignmentSettings) -> _Way:
    if isinstance(recognizer, EmittingRecognizer):
        return _ByEmissions(recognizer, settings.prior)
    if not isinstance(recognizer, StateRecognizer):
        msg = (
            f"{type(recognizer).__name__} emits no symbols frame by frame, which a text is aligned with: use a recognizer that does "
            "(foresay finetune ctc-tiny …, or hmm-tiny); `foresay transcribe --format jsonl` gives the times of what this one recognizes"
        )
        raise UserError(msg)
    if settings.prior:
        msg = f"a prior is subtracted from what CTC emits, and {type(recognizer).__name__} has states: leave --prior out"
        raise UserError(msg)
    return _ByStates(recognizer)


class _ByEmissions(_Way):
    """By the best path through symbols and blanks."""

    def __init__(self, recognizer: EmittingRecognizer, share: float) -> None:
        self.recognizer, self._share = recognizer, share
        self.kinds = ("phones",) if recognizer.units == "phones" else ("words",)
        self._total, self._frames = torch.zeros(len(recognizer.symbols)), 0

    def study(self, layer: Encoded, text: str) -> float | None:
        scores, backwards = layer.frames[0].cpu(), self.recognizer.spell(text)[::-1]
        self._total += scores.exp().sum(0)
        self._frames += len(scores)
        if required_frames(backwards) > len(scores) or len(scores) * (2 * len(backwards) + 1) > CELLS:
            return None
        return align_text(self.recognizer, Emissions(*layer), backwards, 0.0).doubt

    def needs(self, text: str) -> tuple[int, int]:
        symbols = self.recognizer.spell(text)
        return required_frames(symbols), 2 * len(symbols) + 1

    def align(self, layer: Encoded, text: str, duration: float) -> AlignedText:
        prior = Prior((self._total / max(self._frames, 1)).clamp(min=1e-6).log(), self._share) if self._share else None
        return align_text(self.recognizer, Emissions(*layer), self.recognizer.spell(text), duration, prior)


class _ByStates(_Way):
    """By the best path through the states of hidden Markov models."""

    def __init__(self, recognizer: StateRecognizer) -> None:
        self.recognizer: StateRecognizer = recognizer
        phones = ("phones",) if recognizer.units == "phones" else ()
        self.kinds = ("words", *phones) if recognizer.pronunciations or not phones else phones

    def study(self, layer: Encoded, text: str) -> float | None:
        (frames, states), count = self.needs(text), layer.frames.shape[1]
        if frames > count or count * states > CELLS:
            return None
        backwards = [[way[::-1] for way in ways] for ways in reversed(self._pronounced(text))]
        return align_pronounced(self.recognizer, layer, text.split()[::-1], backwards, 0.0).doubt

    def needs(self, text: str) -> tuple[int, int]:
        chain = StateChain.of(self._pronounced(text), self.recognizer.topology)
        return self.recognizer.frames_needed(text), len(chain.steps)

    def align(self, layer: Encoded, text: str, duration: float) -> AlignedText:
        return align_pronounced(self.recognizer, layer, text.split(), self._pronounced(text), duration)

    def _pronounced(self, text: str) -> Pronounced:
        return [self.recognizer.pronounce(word) for word in text.split()]


class _Aligning:
    """The texts of a manifest, normalized, and how they are aligned."""

    def __init__(self, way: _Way, manifest: Manifest, settings: AlignmentSettings, device: str) -> None:
        self.way, self.manifest, self.settings, self._device = way, manifest, settings, device
        self.missing: Counter[str] = Counter()
        """Symbols of the texts that the vocabulary lacks, or words that nobody knows the phones of."""
        found = {index: self._normalized(item) for index, item in enumerate(manifest)}
        self._texts = {index: text for index, (text, why) in found.items() if not why}
        self._why = {index: why for index, (_, why) in found.items() if why}

    def records(self, done: set[str]) -> Iterator[Record]:
        """Say of each item what became of it, but for those that are done."""
        ids = self.manifest.ids
        yield from ({"id": ids[index], "why": why} for index, why in self._why.items() if ids[index] not in done)
        left = {index for index in self._texts if ids[index] not in done}
        if not left:
            return
        unreadable: dict[int, AudioError] = {}
        wrong = self._wrong()
        for index, layer in encoded_of(self.way.recognizer, self.manifest, self._device, unreadable, set(left)):
            left.discard(index)
            yield {"id": ids[index]} | self._align(index, layer, wrong)
        short = "it is too short for a frame"
        yield from ({"id": ids[index], "why": str(unreadable.get(index, short))} for index in sorted(left))

    def _normalized(self, item: Item) -> tuple[str, str]:
        """Return the text of an item as its recognizer writes it, and why it has none."""
        recognizer = self.way.recognizer
        text = known_transcript(recognizer, item)
        if not text:
            return "", "no text"
        if not item.audio:
            return "", "no audio"
        try:
            text, missing = recognizer.normalized(text), recognizer.missing(text)
        except UserError as error:
            return "", str(error)
        if missing:
            self.missing.update(missing)
            what = "words without pronunciation" if "words" in self.way.kinds[:-1] else "symbols that the vocabulary lacks"
            return "", f"{what}: {', '.join(f'{symbol!r} ({count})' for symbol, count in Counter(missing).most_common())}"
        return text, "" if text else "the text is empty once it is normalized"

    def _wrong(self) -> float:
        """Go through some of the corpus: by how many nats a symbol a wrong text is less likely than the likeliest; 0, if nobody knows."""
        drawn = draw_recordings(self.manifest, SAMPLE, seed=0)
        items = {index for index in drawn if index in self._texts}
        studied = (
            self.way.study(layer, self._texts[index])
            for index, layer in encoded_of(self.way.recognizer, self.manifest, self._device, {}, items)
        )
        doubts = [doubt for doubt in studied if doubt is not None]
        return statistics.fmean(doubts) if doubts else 0.0

    def _align(self, index: int, layer: Encoded, wrong: float) -> Record:
        text, frames = self._texts[index], layer.frames.shape[1]
        needed, states = self.way.needs(text)
        if needed > frames:
            return {"why": f"the text is longer than the audio: it needs {needed} frames, and there are {frames}"}
        if frames * states > CELLS:
            return {"why": f"{frames:,} frames and {states:,} states are too many to be aligned at once: cut it at sentences"}
        found = self.way.align(layer, text, float(self.manifest.durations[index]))
        doubt = found.doubt / wrong if wrong else 0.0
        if doubt > self.settings.doubt:
            return {"why": f"the text does not fit the audio: doubt {doubt:.2f}, and 1 is a wrong text"}
        times = {"words": found.words, "phones": found.symbols}
        return {"times": {kind: [_interval(word) for word in times[kind]] for kind in self.way.kinds}, "doubt": round(doubt, 3)}


def _interval(word: Word) -> tuple[float, float, str]:
    return round(word.start, 4), round(word.end, 4), word.text


class _Journal:
    """What became of items, a line each, beside the manifest that is to be written; the first line says of what."""

    def __init__(self, path: Path, of_what: list[Any]) -> None:
        self._path, self.known = path, dict[str, Record]()
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []  # a line that was cut off does not count
        if lines and json.loads(lines[0]) != of_what:
            msg = (
                f"{path} is the beginning of an alignment with another recognizer, manifest or option: give the command that began it, "
                "which goes on, choose another name, or delete that file"
            )
            raise UserError(msg)
        self.known = {record["id"]: record for record in map(json.loads, lines[1:])}
        lines = lines or [json.dumps(of_what).encode()]
        path.write_bytes(b"".join(line + b"\n" for line in lines))

    @classmethod
    @contextmanager
    def opened(cls, target: Path, of_what: list[Any]) -> Iterator["_Journal"]:
        """Go on with what is there; it is deleted when the manifest is written."""
        journal = cls(target.with_name(f"{target.stem}.aligning"), of_what)
        yield journal
        journal._path.unlink()

    def add(self, record: Record) -> None:
        """Write down what became of an item."""
        with self._path.open("ab") as file:
            file.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self.known[record["id"]] = record
