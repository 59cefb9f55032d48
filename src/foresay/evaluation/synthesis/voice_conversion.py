"""Voice conversion: whether what is spoken in another's voice is taken for the other, by a verifier that never met the synthesizer.

    foresay evaluate runs/vocoder --corpus test.jsonl --train-corpus valid.jsonl --measures voice_conversion:mfcc

recorded            recordings, claimed to be of who speaks: how good the verifier is
resynthesized       from their units, in their own voices, claimed to be of who speaks
converted           in the voice of another known speaker, claimed to be of that one
source unchanged    the control: recordings, claimed to be of the one into whose voice they are converted
chance              who speaks, guessed

The verifier (`verifier.py`) learns the voices from `--train-corpus`: other recordings of the same speakers than the synthesizer was trained
on, so that it knows them and none of its faults. Accuracy: how often the claimed speaker is the likeliest of all. EER: of trials of each
recording with each speaker, as the claimed one's. Similarity: the cosine with the claimed speaker. Polyak et al. (arXiv:2104.00355),
Table 2.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import ClassVar, NamedTuple

import numpy as np

from foresay.contracts import Extractor, Synthesizer
from foresay.corpora.item import UNKNOWN
from foresay.corpora.manifest import Manifest
from foresay.encoding.resynthesis import Resynthesizer, speaker_of, unchanged
from foresay.encoding.subjects import Subject
from foresay.errors import UserError
from foresay.evaluation.measure import Corpora, Measure, Population, Where
from foresay.evaluation.synthesis.conditions import CONVERTED, RECORDED, RESYNTHESIZED, converting, spoken_corpora, targets_of
from foresay.evaluation.synthesis.verifier import Vectors, Verifier, vectors_of
from foresay.loading import load_extractor
from foresay.results import Metric, Result
from foresay.statistics.intervals import bootstrap, by_speaker
from foresay.statistics.verification import verification

SOURCE, CHANCE = "source unchanged", "chance"


@dataclass(frozen=True)
class VoiceConversionProtocol:
    """What the verifier knows recordings by."""

    name: str
    encoder: str = "mfcc"
    """An extractor of features, as `foresay.load` takes it."""
    layer: str = "mfcc"


class Claims(NamedTuple):
    """Recordings, and of whom they are said to be."""

    vectors: Vectors
    """(N, D)."""
    places: Sequence[int]
    """(N,): in the corpus."""
    speakers: Sequence[str]
    """(N,): claimed."""


class VoiceConversion(Measure[VoiceConversionProtocol]):
    """How a speaker verifier takes converted voices."""

    name = "voice_conversion"
    protocols: ClassVar[Mapping[str, VoiceConversionProtocol]] = {"mfcc": VoiceConversionProtocol("mfcc")}
    metrics: ClassVar[Mapping[str, Metric]] = {
        "accuracy": Metric("higher", "%", headline=True),
        "EER": Metric("lower", "%"),
        "similarity": Metric("higher"),
    }
    by_layer = False

    def serves(self, model: Extractor, corpora: Corpora) -> bool:  # noqa: ARG002 - whatever the corpus
        """Whether it is a synthesizer."""
        return isinstance(model, Synthesizer)

    def __call__(self, subjects: Sequence[Subject], corpora: Corpora, *, seed: int = 0, device: str = "cpu") -> list[Result]:
        """Fit the verifier to `corpora.train`, and let it judge `corpora.test` as it is and as each subject converts it.

        Raises:
            UserError: a corpus is missing, is what a subject was trained on, or has other speakers; a subject knows one voice only.
        """
        train, test = corpora.both("the speaker verifier")
        voices = [_voices(subject, train, test) for subject in subjects]
        encoder = Subject("the verifier", load_extractor(self.protocol.encoder, device), (self.protocol.layer,))
        learnt = {place: one for place, one in vectors_of(encoder, train, device).items() if speaker_of(train, place) != UNKNOWN}
        verifier = Verifier.fit(np.stack(list(learnt.values())), [speaker_of(train, place) for place in learnt])
        recorded = vectors_of(encoder, test, device)
        rows = []
        for subject, names in zip(subjects, voices, strict=True):
            where = Where("test", test, seed, perf_counter())
            targets = targets_of(test, names)
            own = [speaker_of(test, place) for place in range(len(test))]
            claims = {RECORDED: _claims(recorded, own), SOURCE: _claims(recorded, targets)}
            changes = {RESYNTHESIZED: unchanged, CONVERTED: converting(subject.synthesizer, targets)}
            with spoken_corpora(Resynthesizer(subject.synthesizer, device), test, changes) as manifests:
                for layer, said in ((RESYNTHESIZED, own), (CONVERTED, targets)):
                    places = {name: place for place, name in enumerate(test.ids)}
                    found = vectors_of(encoder, manifests[layer], device)
                    claims[layer] = _claims({places[manifests[layer].ids[n]]: vector for n, vector in found.items()}, said)
            for layer in (RECORDED, RESYNTHESIZED, CONVERTED, SOURCE):
                rows += self._rows(subject, layer, claims[layer], verifier, where, train)
            chance = 1 / len(verifier.speakers)
            rows.append(self.row(subject, CHANCE, "accuracy", chance, None, where, trained_on=train.name, control=True))
        return rows

    def _rows(self, subject: Subject, layer: str, claims: Claims, verifier: Verifier, where: Where, train: Manifest) -> list[Result]:
        scores = verifier.scores(claims.vectors)
        claimed = np.array([verifier.speakers.index(name) for name in claims.speakers])
        of_claimed = scores[np.arange(len(scores)), claimed]
        about = {"trained_on": train.name, "speakers": len(verifier.speakers), "recordings": len(scores)}
        about |= {} if layer == CONVERTED else {"control": True}
        rows = []
        for metric, values in (("accuracy", scores.argmax(axis=1) == claimed), ("similarity", of_claimed)):
            ids = [where.corpus.ids[place] for place in claims.places]
            blocks = by_speaker(ids, [speaker_of(where.corpus, place) for place in claims.places], values, np.ones(len(values)))
            over = where._replace(over=Population(blocks.what, blocks.names))
            interval = bootstrap(blocks.counts, blocks.totals, seed=where.seed)
            rows.append(self.row(subject, layer, metric, float(values.mean()), interval, over, **about))
        pairs = [[one, other] for one in claims.speakers for other in verifier.speakers]
        error = verification(scores.reshape(-1), pairs, where.seed)["EER"]
        over = where._replace(over=Population("speakers", sorted({name for pair in pairs for name in pair})))
        return [*rows, self.row(subject, layer, "EER", error.value, error.interval, over, **about, trials=len(pairs))]


def _claims(vectors: Mapping[int, Vectors], speakers: Sequence[str]) -> Claims:
    return Claims(np.stack(list(vectors.values())), list(vectors), [speakers[place] for place in vectors])


def _voices(subject: Subject, train: Manifest, test: Manifest) -> list[str]:
    """Return the voices into which is converted: those that the synthesizer and the verifier know.

    Raises:
        UserError: there are fewer than two, or the corpora do not serve.
    """
    if train.whole.digest in subject.trained_on:
        msg = (
            f"{subject.name} was trained on {train.name}, and a verifier that knows these recordings would take its faults for voices: "
            "give others of the same speakers with --train-corpus, such as valid.jsonl"
        )
        raise UserError(msg)
    learnt = set(train.speakers) - {UNKNOWN}
    names = [name for name in subject.synthesizer.speaker.names if name in learnt]
    if len(names) < 2:  # noqa: PLR2004 - one's own and another's
        known = ", ".join(subject.synthesizer.speaker.names[:5]) or "none by name"
        msg = f"voices are converted into those that both {subject.name} ({known}) and {train.name} know: two at least, not {len(names)}"
        raise UserError(msg)
    if strange := sorted(set(test.speakers) - learnt):
        msg = f"{test.name} has speakers whom the verifier would not know ({', '.join(strange[:4])}, …), for they are not in {train.name}"
        raise UserError(msg)
    return names
