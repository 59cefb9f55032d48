"""Intelligibility of synthesized speech: word and character error rates of a judge that reads it, and reads the recordings too.

    foresay evaluate runs/vocoder --corpus test.jsonl --measures intelligibility --option intelligibility.judge=runs/asr

recorded          the recordings themselves: what the judge makes of the best there could be
resynthesized     from their units, with their own pitch, in their own voices
converted         the same, each in the voice of another speaker whom the synthesizer knows, if it knows several
units shuffled    the control: the same sounds in another order

Polyak et al. (arXiv:2104.00355), section 4.1: word error rates of resynthesis and of converted voices. They are numbers of a judge as
much as of a voice, and nothing is compared that two judges understood.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import ClassVar

from foresay.contracts import Extractor, Synthesizer
from foresay.encoding.resynthesis import Resynthesizer, shuffling, unchanged
from foresay.encoding.subjects import Subject
from foresay.evaluation.measure import Corpora, Measure, Population, Where
from foresay.evaluation.recognition._error_rate import CER
from foresay.evaluation.synthesis.conditions import CONVERTED, RECORDED, RESYNTHESIZED, SHUFFLED, converting, spoken_corpora, targets_of
from foresay.evaluation.synthesis.judges import Judge, files_of, find_judge
from foresay.results import Metric, Result
from foresay.statistics.edit_distance import edit_distance
from foresay.statistics.intervals import bootstrap, by_speaker
from foresay.statistics.word_errors import Compared

WER = "word error rate"


@dataclass(frozen=True)
class IntelligibilityProtocol:
    """Who judges."""

    name: str
    judge: str = ""
    """A recognizer, as `foresay.load` takes it, or `whisper:FOLDER`. There is no default: the number depends on it."""
    language: str = ""
    """For Whisper, of all recordings; default: that of the manifest."""


class Intelligibility(Measure[IntelligibilityProtocol]):
    """Error rates of a judge on recorded and on synthesized speech."""

    name = "intelligibility"
    protocols: ClassVar[Mapping[str, IntelligibilityProtocol]] = {"greedy": IntelligibilityProtocol("greedy")}
    metrics: ClassVar[Mapping[str, Metric]] = {WER: Metric("lower", "%", headline=True), CER: Metric("lower", "%")}
    by_layer = False

    def __init__(self, protocol: IntelligibilityProtocol) -> None:
        super().__init__(protocol)
        self.files = files_of(protocol.judge)

    def serves(self, model: Extractor, corpora: Corpora) -> bool:  # noqa: ARG002 - whatever the corpus
        """Whether it is a synthesizer."""
        return isinstance(model, Synthesizer)

    def __call__(self, subjects: Sequence[Subject], corpora: Corpora, *, seed: int = 0, device: str = "cpu") -> list[Result]:
        """Let the judge transcribe `corpora.test`, as it was recorded and as each subject speaks it.

        Raises:
            UserError: there is no judge, no text, or a speaker whom a subject does not know.
        """
        language = self.protocol.language
        judge = find_judge(self.protocol.judge, [language] if language else corpora.test.languages, device)
        synthesizers = [subject.synthesizer for subject in subjects]
        recorded = judge.compare(corpora.test)
        rows = []
        for subject, synthesizer in zip(subjects, synthesizers, strict=True):
            started = perf_counter()
            found = {RECORDED: recorded, **self._spoken(synthesizer, corpora, recorded, judge, seed, device)}
            for layer, pairs in found.items():
                rows += self._rows(subject, layer, pairs, Where("test", corpora.test, seed, started), judge)
        return rows

    def _spoken(
        self, synthesizer: Synthesizer, corpora: Corpora, recorded: Sequence[Compared], judge: Judge, seed: int, device: str
    ) -> dict[str, list[Compared]]:
        """Let the judge transcribe what is synthesized; what was too short for a unit is understood as nothing."""
        names = synthesizer.speaker.names
        changes = {RESYNTHESIZED: unchanged, SHUFFLED: shuffling(seed)}
        if len(names) > 1:
            targets = targets_of(corpora.test, names)
            changes = {RESYNTHESIZED: unchanged, CONVERTED: converting(synthesizer, targets), SHUFFLED: shuffling(seed)}
        with spoken_corpora(Resynthesizer(synthesizer, device), corpora.test, changes) as manifests:
            texts = {name: {one.id: one.hypothesis for one in judge.compare(manifest)} for name, manifest in manifests.items()}
        return {name: [one._replace(hypothesis=said.get(one.id, "")) for one in recorded] for name, said in texts.items()}

    def _rows(self, subject: Subject, layer: str, pairs: Sequence[Compared], where: Where, judge: Judge) -> list[Result]:
        """Sum errors over all utterances; intervals are over speakers where there are enough of them."""
        words = [(pair.reference.split(), pair.hypothesis.split()) for pair in pairs]
        counts = {
            WER: ([edit_distance(*both) for both in words], [len(reference) for reference, _ in words]),
            CER: ([edit_distance(pair.reference, pair.hypothesis) for pair in pairs], [len(pair.reference) for pair in pairs]),
        }
        about = {
            "judge": Path(self.protocol.judge).name,
            "judge_fingerprint": judge.fingerprint,
            "utterances": len(pairs),
            "words": sum(counts[WER][1]),
            **({"control": True} if layer in {RECORDED, SHUFFLED} else {}),
        }
        rows = []
        for metric, (errors, totals) in counts.items():
            blocks = by_speaker([pair.id for pair in pairs], [pair.speaker for pair in pairs], errors, totals)
            over = where._replace(over=Population(blocks.what, blocks.names))
            interval = bootstrap(blocks.counts, blocks.totals, seed=where.seed)
            rows.append(self.row(subject, layer, metric, sum(errors) / sum(totals), interval, over, **about))
        return rows
