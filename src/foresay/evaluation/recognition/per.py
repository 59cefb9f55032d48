"""Phone error rate: edits between the phones that were said, or by which the text is pronounced, and those that were recognized.

per:greedy      of a recognizer of phones: those of the manifest, and those of the best path
per:espeak      of any other, for English: both texts are pronounced by eSpeak NG, what was said and what the best path has written; a word
                that is right has no error, and one that is wrong those that can be made out by its sound
"""

from collections.abc import Iterable, Mapping
from typing import ClassVar

from foresay.audio.voice import Voice, sounds
from foresay.contracts import Recognizer
from foresay.corpora.item import Item, Transcript, transcript_of
from foresay.corpora.manifest import Manifest
from foresay.encoding.searches import Decoder
from foresay.errors import UserError
from foresay.evaluation.recognition._error_rate import ErrorRate, SearchProtocol, metrics_of
from foresay.statistics.word_errors import Compared

SPEAKER = Voice("en-US", "f1")
"""Whose accent texts are pronounced in."""


class PhoneErrorRate(ErrorRate):
    """Error rates of a recognizer on utterances whose phones, or texts, are known."""

    name = "per"
    protocols: ClassVar[Mapping[str, SearchProtocol]] = {name: SearchProtocol(name) for name in ("greedy", "espeak")}
    metrics = metrics_of("phone")
    transcript: ClassVar[Transcript] = "phones"

    def said(self, item: Item) -> str:
        """Return the phones of an item or, where they are to be pronounced, its text."""
        return transcript_of(item) if self._pronounces else super().said(item)

    def reference(self, recognizer: Recognizer, item: Item) -> str:
        """Return the phones of an item, or its text, where this is of phones or is to be pronounced.

        Raises:
            UserError: the recognizer writes none, or nothing else.
        """
        if (recognizer.units == "phones") == self._pronounces:
            way = "measure per:greedy" if self._pronounces else "measure wer:greedy, or pronounce its English texts (per:espeak)"
            msg = f"the recognizer writes {recognizer.units}, and per:{self.protocol.name} is of another kind: {way}"
            raise UserError(msg)
        return super().reference(recognizer, item)

    def compare(self, decoder: Decoder, manifest: Manifest, device: str) -> list[Compared]:
        """Transcribe the utterances that have phones or a text, and pronounce both where that is asked for.

        Raises:
            UserError: there is none, it is of another alphabet, or the extra `demo` is not installed.
            AudioError: a recording cannot be read.
        """
        pairs = super().compare(decoder, manifest, device)
        if not self._pronounces:
            return pairs
        return [pair._replace(reference=_pronounced(pair.reference), hypothesis=_pronounced(pair.hypothesis)) for pair in pairs]

    def learnt(self, train: Iterable[Item] | None) -> Iterable[str] | None:
        """Return the phones of the training, to count how often each was met; of texts that are pronounced nobody counts them."""
        return None if self._pronounces else super().learnt(train)

    @property
    def _pronounces(self) -> bool:
        return self.protocol.name == "espeak"


def _pronounced(text: str) -> str:
    return " ".join(sounds(text, SPEAKER))
