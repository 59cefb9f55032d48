"""Word and character error rates: edits that turn the reference into what was recognized, by the length of the reference.

    reference    the cat sat on the mat
    hypothesis   the cat sad on mat          1 substitution, 1 deletion: 2 errors in 6 words, WER 33.3 %

Both are normalized alike, by the recognizer's own profile. The errors of all utterances are summed and divided by all words: never a mean
of utterances' rates. The interval draws speakers again where there are five or more, or else utterances, which are too alike within a
speaker (Bisani and Ney, "Bootstrap estimates for confidence intervals in ASR performance evaluation", ICASSP 2004).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import ClassVar

from foresay.contracts import Extractor, Recognizer
from foresay.corpora.item import transcript_of
from foresay.corpora.manifest import Manifest
from foresay.encoding.subjects import Subject
from foresay.encoding.transcripts import transcribed
from foresay.errors import UserError
from foresay.evaluation.measure import Corpora, Measure, Population, Where
from foresay.evaluation.recognition.errors import count_words, find_errors
from foresay.results import FEWEST, Metric, Result
from foresay.statistics.edit_distance import align, edit_distance
from foresay.statistics.intervals import bootstrap
from foresay.statistics.word_errors import Compared

ANOTHER_ALPHABET = 0.5
"""Share of symbols that the recognizer lacks, above which a text cannot be compared with what it writes."""
WER, CER = "word error rate", "character error rate"
KINDS = ("substitution", "deletion", "insertion")


@dataclass(frozen=True)
class SearchProtocol:
    """How text is found in the emissions."""

    name: str


class WordErrorRate(Measure[SearchProtocol]):
    """Error rates of a recognizer on transcribed utterances."""

    name = "wer"
    protocols: ClassVar[Mapping[str, SearchProtocol]] = {"greedy": SearchProtocol("greedy")}
    metrics: ClassVar[Mapping[str, Metric]] = {
        WER: Metric("lower", "%", headline=True),
        CER: Metric("lower", "%"),
        **{f"{kind} error rate": Metric("lower", "%") for kind in KINDS},
    }

    def serves(self, model: Extractor, corpora: Corpora) -> bool:  # noqa: ARG002 - whatever the corpus
        """Whether it is a recognizer."""
        return isinstance(model, Recognizer)

    def __call__(self, subjects: Sequence[Subject], corpora: Corpora, *, seed: int = 0, device: str = "cpu") -> list[Result]:
        """Transcribe `corpora.test`, and compare with its texts. `corpora.train`, if given, is where words are counted as seen.

        Raises:
            UserError: a model is no recognizer, or the corpus has no texts.
        """
        return [row for subject in subjects for row in self._rows(subject, corpora, seed, device)]

    def _rows(self, subject: Subject, corpora: Corpora, seed: int, device: str) -> list[Result]:
        started, manifest = perf_counter(), corpora.test
        recognizer = subject.model
        if not isinstance(recognizer, Recognizer):
            msg = f"{subject.name} recognizes no text: error rates are those of recognizers (foresay finetune ctc-tiny --encoder MODEL …)"
            raise UserError(msg)
        pairs = compare(recognizer, manifest, device)
        words = [(pair.reference.split(), pair.hypothesis.split()) for pair in pairs]
        edits = [align(reference, hypothesis) for reference, hypothesis in words]
        lengths = [len(reference) for reference, _ in words]
        letters = [len(pair.reference) for pair in pairs]
        counts = {
            WER: ([one.distance for one in edits], lengths),
            CER: ([edit_distance(pair.reference, pair.hypothesis) for pair in pairs], letters),
            **{f"{kind} error rate": ([getattr(one, f"{kind}s") for one in edits], lengths) for kind in KINDS},
        }
        found = find_errors(pairs, manifest, count_words(recognizer, corpora.train), recognizer.sample_rate, seed)
        about = {"utterances": len(pairs), "words": sum(lengths), **found.details}
        (layer,) = recognizer.layer_names
        rows = []
        for metric, counted in counts.items():
            names, errors, totals = _blocks(pairs, *counted)
            over = Population("speakers" if len(names) < len(pairs) else "utterances", names)
            where = Where("test", manifest, seed, started, over)
            rate, interval = sum(errors) / sum(totals), bootstrap(errors, totals, seed=seed)
            rows.append(self.row(subject, layer, metric, rate, interval, where, **(about if metric == WER else {})))
        return [replace(row, arrays=found.arrays) if row.metric == WER else row for row in rows]


def compare(recognizer: Recognizer, manifest: Manifest, device: str) -> list[Compared]:
    """Transcribe the utterances that have a text; one that is too short for a frame is recognized as nothing.

    Raises:
        UserError: there is no text, or it is of another alphabet.
        AudioError: a recording cannot be read.
    """
    references = {item.id: recognizer.normalized(transcript_of(item)) for item in manifest if transcript_of(item)}
    speakers = {item.id: item.speaker or item.id for item in manifest}
    if not references:
        msg = f'{manifest.name} has no texts to compare with (the key "text"): import the corpus with its transcripts'
        raise UserError(msg)
    strange = sum(sum(recognizer.missing(text).values()) for text in references.values())
    if strange > ANOTHER_ALPHABET * sum(len("".join(text.split())) for text in references.values()):
        msg = (
            f"most of the texts of {manifest.name} is made of none of the recognizer's symbols ({', '.join(recognizer.symbols[1:6])}, …): "
            "it writes another alphabet, or phones, and its error rate would mean nothing"
        )
        raise UserError(msg)
    if not any(references.values()):
        msg = f"the texts of {manifest.name} hold no word, once normalized: there is nothing to recognize. Give a corpus with transcripts"
        raise UserError(msg)
    found = {one.id: one.text for one in transcribed(recognizer, manifest, device)}
    return [Compared(name, speakers[name], text, found.get(name, "")) for name, text in references.items()]


def _blocks(pairs: Sequence[Compared], errors: Sequence[int], totals: Sequence[int]) -> tuple[list[str], list[int], list[int]]:
    """Sum the counts of each speaker, where there are enough of them to draw; else each utterance stands by itself."""
    speakers = sorted({pair.speaker for pair in pairs})
    if len(speakers) < FEWEST:
        return [pair.id for pair in pairs], list(errors), list(totals)
    places = {speaker: place for place, speaker in enumerate(speakers)}
    summed, whole = [0] * len(speakers), [0] * len(speakers)
    for pair, error, total in zip(pairs, errors, totals, strict=True):
        summed[places[pair.speaker]] += error
        whole[places[pair.speaker]] += total
    return speakers, summed, whole
