"""Error rates of recognizers: edits that turn the reference into what was recognized, by the length of the reference.

    reference    the cat sat on the mat
    hypothesis   the cat sad on mat          1 substitution, 1 deletion: 2 errors in 6 words, WER 33.3 %

Both are normalized alike, by the recognizer's own profile. The errors of all utterances are summed and divided by all words: never a mean
of utterances' rates. The interval draws speakers again where there are five or more, or else utterances, which are too alike within a
speaker (Bisani and Ney, "Bootstrap estimates for confidence intervals in ASR performance evaluation", ICASSP 2004).
"""

from abc import ABC
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, ClassVar, Literal, Self, TypeAlias

from foresay.contracts import Extractor, Recognizer
from foresay.corpora.item import Item, Transcript, transcript_of
from foresay.corpora.manifest import Manifest
from foresay.encoding.search_files import SearchFile, choose
from foresay.encoding.search_settings import SearchSettings
from foresay.encoding.searches import Decoder
from foresay.encoding.subjects import Subject
from foresay.encoding.transcripts import transcribed
from foresay.errors import UserError
from foresay.evaluation.measure import Corpora, Measure, Population, Where
from foresay.evaluation.recognition.errors import LISTED, count_words, find_errors
from foresay.evaluation.recognition.kept import Unit
from foresay.results import Metric, Result
from foresay.statistics.edit_distance import align, edit_distance
from foresay.statistics.intervals import bootstrap, by_speaker
from foresay.statistics.word_errors import Compared

ANOTHER_ALPHABET = 0.5
"""Share of symbols that the recognizer lacks, above which a text cannot be compared with what it writes."""
CER, OUTSIDE = "character error rate", "out-of-vocabulary rate"
KINDS = ("substitution", "deletion", "insertion")
Kind: TypeAlias = Literal["greedy", "ngram", "transformer"]


@dataclass(frozen=True)
class SearchProtocol:
    """How text is found in the emissions."""

    name: str
    kind: Kind = "greedy"
    searches: tuple[SearchFile, ...] = ()
    """Those of its kind that were given. Of each recognizer, the one that was tuned for it is used."""


def metrics_of(unit: str, *, characters: bool = False) -> dict[str, Metric]:
    """Declare the metrics of an error rate of words or phones, the headline first."""
    rates = {f"{unit} error rate": Metric("lower", "%", headline=True)}
    if characters:
        rates[CER] = Metric("lower", "%")
    return rates | {f"{kind} error rate": Metric("lower", "%") for kind in KINDS}


class ErrorRate(Measure[SearchProtocol], ABC):
    """Error rates of a recognizer on transcribed utterances; the first of `metrics` is that of words, whatever a word is."""

    transcript: ClassVar[Transcript] = "text"
    """Of an item, what its reference is."""

    def __init__(self, protocol: SearchProtocol) -> None:
        super().__init__(protocol)
        searches = [one.settings for one in protocol.searches]
        self.files = list(dict.fromkeys(path for settings in searches for path in settings.files))
        self.alike = tuple(sorted({settings.likeness for settings in searches}))

    def reference(self, recognizer: Recognizer, item: Item) -> str:
        """Return what was said in an item, as the recognizer would write it; nothing, where that is not known."""
        try:
            return recognizer.normalized(self.said(item))
        except UserError as error:
            msg = f"the transcript of {item.id} cannot be compared: {error}"
            raise UserError(msg) from error

    def said(self, item: Item) -> str:
        """Return the transcript of an item; nothing, where that is not known."""
        return transcript_of(item, self.transcript) or transcript_of(item)

    def learnt(self, train: Iterable[Item] | None) -> Iterable[str] | None:
        """Return the transcripts of the training, to count how often each word was met; None, where nobody knows."""
        return map(self.said, train) if train else None

    def serves(self, model: Extractor, corpora: Corpora) -> bool:  # noqa: ARG002 - whatever the corpus
        """Whether it is a recognizer."""
        return isinstance(model, Recognizer)

    def with_searches(self, searches: Sequence[SearchFile]) -> Self:
        """Take those of the searches that are of the protocol's kind.

        Raises:
            UserError: there is none, and it needs one.
        """
        own = tuple(search for search in searches if _kind(search.settings) == self.protocol.kind)
        if not own and self.protocol.kind != "greedy":
            needed = "a second language model (rescore)" if self.protocol.kind == "transformer" else "a language model or a lexicon"
            msg = (
                f"{self.name}:{self.protocol.name} needs a search with {needed}: --search FILE, which `foresay lm tune` writes; "
                f"given were {', '.join(str(one.path) for one in searches) or 'none'}"
            )
            raise UserError(msg)
        return type(self)(replace(self.protocol, searches=own))

    def __call__(self, subjects: Sequence[Subject], corpora: Corpora, *, seed: int = 0, device: str = "cpu") -> list[Result]:
        """Transcribe `corpora.test`, and compare with its texts. `corpora.train`, if given, is where words are counted as seen.

        Raises:
            UserError: a model is no recognizer, or the corpus has no texts, or is what weights were tuned on.
        """
        return [row for subject in subjects for row in self._rows(subject, corpora, seed, device)]

    def compare(self, decoder: Decoder, manifest: Manifest, device: str) -> list[Compared]:
        """Transcribe the utterances that have a text; one that is too short for a frame is recognized as nothing.

        Raises:
            UserError: there is no text, or it is of another alphabet.
            AudioError: a recording cannot be read.
        """
        references = {item.id: self.reference(decoder.recognizer, item) for item in manifest if self.said(item)}
        speakers = {item.id: item.speaker or item.id for item in manifest}
        if not references:
            msg = f'{manifest.name} has no texts to compare with (the key "text"): import the corpus with its transcripts'
            raise UserError(msg)
        if not any(references.values()):
            msg = (
                f"the texts of {manifest.name} hold no word, once normalized: there is nothing to recognize. Give a corpus with transcripts"
            )
            raise UserError(msg)
        _refuse_another_alphabet(decoder, references.values(), manifest.name)
        found = {one.id: one.text for one in transcribed(decoder, manifest, device)}
        return [Compared(name, speakers[name], text, found.get(name, "")) for name, text in references.items()]

    def _rows(self, subject: Subject, corpora: Corpora, seed: int, device: str) -> list[Result]:
        started, manifest = perf_counter(), corpora.test
        recognizer = subject.model
        if not isinstance(recognizer, Recognizer):
            msg = f"{subject.name} recognizes no text: error rates are those of recognizers (foresay finetune ctc-tiny --encoder MODEL …)"
            raise UserError(msg)
        decoder, search = self._decoder(recognizer, subject.name, manifest, device)
        pairs = self.compare(decoder, manifest, device)
        words = [(pair.reference.split(), pair.hypothesis.split()) for pair in pairs]
        edits = [align(reference, hypothesis) for reference, hypothesis in words]
        lengths = [len(reference) for reference, _ in words]
        headline = next(iter(self.metrics))
        counts = {headline: ([one.distance for one in edits], lengths)}
        if CER in self.metrics:
            counts[CER] = (
                [edit_distance(pair.reference, pair.hypothesis) for pair in pairs],
                [len(pair.reference) for pair in pairs],
            )
        counts |= {f"{kind} error rate": ([getattr(one, f"{kind}s") for one in edits], lengths) for kind in KINDS}
        seen = count_words(recognizer, self.learnt(corpora.train))
        unit: Unit = "phone" if self.transcript == "phones" else "word"
        found = find_errors(pairs, manifest, seen, sample_rate=recognizer.sample_rate, unit=unit, seed=seed)
        about = {"utterances": len(pairs), "words": sum(lengths), **search, **_outside(decoder, pairs), **found.details}
        (layer,) = recognizer.layer_names
        rows = []
        for metric, counted in counts.items():
            blocks = by_speaker([pair.id for pair in pairs], [pair.speaker for pair in pairs], *counted)
            where = Where("test", manifest, seed, started, Population(blocks.what, blocks.names))
            rate = sum(counted[0]) / sum(counted[1])
            interval = bootstrap(blocks.counts, blocks.totals, seed=seed)
            rows.append(self.row(subject, layer, metric, rate, interval, where, **(about if metric == headline else {})))
        return [replace(row, arrays=found.arrays) if row.metric == headline else row for row in rows]

    def _decoder(self, recognizer: Recognizer, name: str, manifest: Manifest, device: str) -> tuple[Decoder, dict[str, Any]]:
        """Build the search for a recognizer, and say which it is."""
        if not self.protocol.searches:
            if self.protocol.kind != "greedy":
                self.with_searches(())
            return Decoder(recognizer, SearchSettings(), device), {}
        chosen = choose(self.protocol.searches, recognizer, name)
        chosen.refuse_tuned_on(manifest)
        decoder = Decoder(recognizer, chosen.settings, device)
        said = {"search": decoder.about | chosen.about(recognizer)}
        notes = [*decoder.notes, *chosen.notes(recognizer, name)]
        return decoder, said | ({"note": "\n".join(notes)} if notes else {})


def _kind(settings: SearchSettings) -> Kind:
    return "greedy" if settings.is_greedy else "transformer" if settings.rescore else "ngram"


def _refuse_another_alphabet(decoder: Decoder, references: Iterable[str], name: str) -> None:
    recognizer, texts = decoder.recognizer, list(references)
    strange = sum(sum(recognizer.missing(text).values()) for text in texts)
    if decoder.lexicon is None and strange > ANOTHER_ALPHABET * sum(len("".join(text.split())) for text in texts):
        msg = (
            f"most of the texts of {name} is made of none of the recognizer's symbols ({', '.join(recognizer.symbols[1:6])}, …): "
            "it writes another alphabet, or phones, and its error rate would mean nothing"
        )
        raise UserError(msg)
    outside = decoder.outside(texts) or Counter[str]()
    if outside.total() > ANOTHER_ALPHABET * sum(len(text.split()) for text in texts):
        (word, _), *_ = outside.most_common(1)
        msg = (
            f"most words of {name} cannot come out of the search, such as {word!r}: its words are {', '.join(decoder.words[:5])}, … "
            "Usual causes: a lexicon in capital letters for texts in small ones, or a language model of other text"
        )
        raise UserError(msg)


def _outside(decoder: Decoder, pairs: Sequence[Compared]) -> dict[str, Any]:
    """Say how many of the words that were said the search can never write: no error rate is below their share."""
    outside = decoder.outside(pair.reference for pair in pairs)
    if outside is None:
        return {}
    words = sum(len(pair.reference.split()) for pair in pairs)
    ordered = sorted(outside.items(), key=lambda pair: (-pair[1], pair[0]))
    return {OUTSIDE: outside.total() / words, "outside": [[count, word] for word, count in ordered[:LISTED]]}
