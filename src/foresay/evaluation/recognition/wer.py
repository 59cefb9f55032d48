"""Word and character error rates: edits that turn the reference into what was recognized, by the length of the reference.

    reference    the cat sat on the mat
    hypothesis   the cat sad on mat          1 substitution, 1 deletion: 2 errors in 6 words, WER 33.3 %

Both are normalized alike, by the recognizer's own profile. The errors of all utterances are summed and divided by all words: never a mean
of utterances' rates. The interval draws speakers again where there are five or more, or else utterances, which are too alike within a
speaker (Bisani and Ney, "Bootstrap estimates for confidence intervals in ASR performance evaluation", ICASSP 2004).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import ClassVar, NamedTuple

from foresay.contracts import Extractor, Recognizer
from foresay.corpora.item import transcript_of
from foresay.corpora.manifest import Manifest
from foresay.encoding.subjects import Subject
from foresay.encoding.transcripts import transcribed
from foresay.errors import UserError
from foresay.evaluation.measure import Corpora, Measure, Population, Where
from foresay.results import FEWEST, Metric, Result
from foresay.statistics.edit_distance import align, edit_distance
from foresay.statistics.intervals import bootstrap

ANOTHER_ALPHABET = 0.5
"""Share of symbols that the recognizer lacks, above which a text cannot be compared with what it writes."""
LISTED = 20
"""Of the most frequent errors of each kind."""
WER, CER = "word error rate", "character error rate"
KINDS = ("substitution", "deletion", "insertion")


@dataclass(frozen=True)
class SearchProtocol:
    """How text is found in the emissions."""

    name: str


class Compared(NamedTuple):
    """An utterance: what was said and what was recognized."""

    id: str
    speaker: str
    reference: str
    hypothesis: str


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
        """Transcribe `corpora.test`, and compare with its texts.

        Raises:
            UserError: a model is no recognizer, or the corpus has no texts.
        """
        return [row for subject in subjects for row in self._rows(subject, corpora.test, seed, device)]

    def _rows(self, subject: Subject, manifest: Manifest, seed: int, device: str) -> list[Result]:
        started = perf_counter()
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
        about = {"utterances": len(pairs), "words": sum(lengths), **frequent_errors(words)}
        (layer,) = recognizer.layer_names
        rows = []
        for metric, counted in counts.items():
            names, errors, totals = _blocks(pairs, *counted)
            over = Population("speakers" if len(names) < len(pairs) else "utterances", names)
            where = Where("test", manifest, seed, started, over)
            rate, interval = sum(errors) / sum(totals), bootstrap(errors, totals, seed=seed)
            rows.append(self.row(subject, layer, metric, rate, interval, where, **(about if metric == WER else {})))
        return rows


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
    found = {one.id: one.text for one in transcribed(recognizer, manifest, device)}
    return [Compared(name, speakers[name], text, found.get(name, "")) for name, text in references.items()]


def frequent_errors(words: Sequence[tuple[Sequence[str], Sequence[str]]]) -> dict[str, list[list[object]]]:
    """Count the errors of each kind in pairs of reference and hypothesis, the most frequent first: [how often, what]."""
    found: dict[str, Counter[str]] = {f"frequent_{kind}s": Counter() for kind in KINDS}
    for reference, hypothesis in words:
        for said, written in align(reference, hypothesis).alignment:
            if said is None and written is not None:
                found["frequent_insertions"][hypothesis[written]] += 1
            elif said is not None and written is None:
                found["frequent_deletions"][reference[said]] += 1
            elif said is not None and written is not None and reference[said] != hypothesis[written]:
                found["frequent_substitutions"][f"{reference[said]} -> {hypothesis[written]}"] += 1
    return {
        kind: [[count, what] for what, count in sorted(counter.items(), key=lambda pair: (-pair[1], pair[0]))[:LISTED]]
        for kind, counter in found.items()
    }


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
