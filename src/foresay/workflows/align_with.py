"""Give a transcribed corpus times by a recognizer of ours: CTC forced alignment, in any language that there is a recognizer for.

    manifest with texts --> normalized, spelled --> recognizer's emissions --> best path --> words or phones with times, or why not

What is aligned is written down at once, beside the manifest to be: a command that was stopped goes on where it was.
"""

import json
import math
import os
import statistics
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import torch

from foresay.contracts import Emissions, EmittingRecognizer, Recognizer
from foresay.corpora.item import transcript_of
from foresay.corpora.manifest import Interval, Item, Manifest, write_manifest
from foresay.decoding.emissions import required_frames
from foresay.encoding.recordings import draw_recordings
from foresay.encoding.transcripts import encoded_of
from foresay.encoding.word_times import Prior, Word, align_text
from foresay.errors import AudioError, UserError
from foresay.files import make_folder
from foresay.fingerprint import of_model
from foresay.text.vocabulary import Vocabulary
from foresay.training.devices import find_process
from foresay.workflows.align import ForcedAlignment, listed, open_transcribed
from foresay.workflows.transcribe import load_recognizer

CELLS = 2**30
"""Frames x states of an utterance, at most: so many bytes of memory."""
SAMPLE = 120.0
"""Seconds of the corpus, drawn at random, which say what the recognizer does in general."""

Record: TypeAlias = dict[str, Any]
"""What became of an item: its `id`, and `times` as (start, end, label) and its `doubt`, or `why` it has none."""


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
    if not isinstance(recognizer, EmittingRecognizer):
        msg = (
            f"{type(recognizer).__name__} emits no symbols frame by frame, which a text is aligned with: use a recognizer that does "
            "(foresay finetune ctc-tiny …); `foresay transcribe --format jsonl` gives the times of what this one recognizes"
        )
        raise UserError(msg)
    aligning = _Aligning(recognizer, opened, settings, place)
    make_folder(target.parent)
    with _Journal.opened(target, [opened.digest, of_model(recognizer), settings.prior, settings.doubt]) as journal:
        for record in aligning.records(set(journal.known)):
            journal.add(record)
        found = journal.known
        phones = recognizer.units == "phones"
        write_manifest(target, (_timed(item, found[item.id], phones=phones) for item in opened), phone_set=opened.phone_set)
    left = {name: record["why"] for name, record in found.items() if "why" in record}
    done = ForcedAlignment(target, len(found) - len(left), {name: left[name] for name in opened.ids if name in left})
    done.missing = aligning.missing
    done.left_list = listed(done)
    return done


def _timed(item: Item, record: Record, *, phones: bool) -> Item:
    times = tuple(Interval(*interval) for interval in record["times"]) if "times" in record else None
    return replace(item, phones=times) if phones else replace(item, words=times)


class _General(NamedTuple):
    """What a recognizer does in general."""

    prior: Prior | None
    wrong: float
    """Nats a symbol by which a wrong text is less likely than the likeliest."""


class _Aligning:
    """The texts of a manifest, in a recognizer's symbols."""

    def __init__(self, recognizer: Recognizer, manifest: Manifest, settings: AlignmentSettings, device: str) -> None:
        self.recognizer, self.manifest, self.settings, self._device = recognizer, manifest, settings, device
        self.vocabulary = Vocabulary(tuple(recognizer.symbols), recognizer.units)
        self.missing: Counter[str] = Counter()
        """Symbols of the texts that the vocabulary lacks."""
        self._spelled = {index: self._spell(item) for index, item in enumerate(manifest)}

    def records(self, done: set[str]) -> Iterator[Record]:
        """Say of each item what became of it, but for those that are done."""
        ids = self.manifest.ids
        left = {index for index, name in enumerate(ids) if name not in done}
        yield from ({"id": ids[index], "why": why} for index in sorted(left) if isinstance(why := self._spelled[index], str))
        left = {index for index in left if not isinstance(self._spelled[index], str)}
        if not left:
            return
        unreadable: dict[int, AudioError] = {}
        general = self._sample()
        for index, emissions in self._emissions(set(left), unreadable):
            left.discard(index)
            yield {"id": ids[index]} | self._align(index, emissions, general)
        short = "it is too short for a frame"
        yield from ({"id": ids[index], "why": str(unreadable.get(index, short))} for index in sorted(left))

    def _emissions(self, items: set[int], unreadable: dict[int, AudioError]) -> Iterator[tuple[int, Emissions]]:
        for index, encoded in encoded_of(self.recognizer, self.manifest, self._device, unreadable, items):
            yield index, Emissions(*encoded)

    def _spell(self, item: Item) -> tuple[int, ...] | str:
        """Return the symbols of a text, or why it has none."""
        text = (transcript_of(item, "phones") if self.recognizer.units == "phones" else "") or (item.text or "").strip()
        if not text:
            return "no text"
        if not item.audio:
            return "no audio"
        try:
            text = self.recognizer.normalized(text)
        except UserError as error:
            return str(error)
        if missing := self.vocabulary.missing(text):
            self.missing.update(missing)
            return f"symbols that the vocabulary lacks: {', '.join(f'{symbol!r} ({count})' for symbol, count in missing.most_common())}"
        return tuple(self.vocabulary.encode(text)) or "the text is empty once it is normalized"

    def _sample(self) -> _General:
        """Go through some of the corpus, to find what the recognizer does in general."""
        drawn = draw_recordings(self.manifest, SAMPLE, seed=0)
        total, frames, doubts = torch.zeros(len(self.vocabulary)), 0, list[float]()
        for index, emissions in self._emissions({index for index in drawn if not isinstance(self._spelled[index], str)}, {}):
            scores, tokens = emissions.log_probabilities[0].cpu(), self._spelled[index]
            total += scores.exp().sum(0)
            frames += len(scores)
            backwards = tuple(reversed(tokens))
            if not isinstance(tokens, str) and required_frames(tokens) <= len(scores) and len(scores) * (2 * len(tokens) + 1) <= CELLS:
                doubts.append(align_text(self.recognizer, emissions, backwards, 0.0).doubt)  # type: ignore[arg-type]
        prior = Prior((total / max(frames, 1)).clamp(min=1e-6).log(), self.settings.prior) if self.settings.prior else None
        return _General(prior, statistics.fmean(doubts) if doubts else 0.0)

    def _align(self, index: int, emissions: Emissions, general: _General) -> Record:
        tokens, frames = self._spelled[index], emissions.log_probabilities.shape[1]
        assert not isinstance(tokens, str)  # noqa: S101 - these were left out
        if (needed := required_frames(tokens)) > frames:
            return {"why": f"the text is longer than the audio: it needs {needed} frames, and there are {frames}"}
        if frames * (2 * len(tokens) + 1) > CELLS:
            return {"why": f"{frames:,} frames and {len(tokens):,} symbols are too many to be aligned at once: cut it at sentences"}
        found = align_text(self.recognizer, emissions, tokens, float(self.manifest.durations[index]), general.prior)
        doubt = found.doubt / general.wrong if general.wrong else 0.0
        if doubt > self.settings.doubt:
            return {"why": f"the text does not fit the audio: doubt {doubt:.2f}, and 1 is a wrong text"}
        words = found.symbols if self.recognizer.units == "phones" else found.words
        return {"times": [_interval(word) for word in words], "doubt": round(doubt, 3)}


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
