"""Results side by side: what was measured alike is compared."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from foresay.reports.record import Record
from foresay.reports.wording import GAIN, gains
from foresay.results import NO_RANK, Metric, Result

TITLES = {
    "probe": "Linear phone probe",
    "phone_ctc": "Phones in order (linear CTC probe)",
    "speaker": "Speaker probe",
    "abx": "ABX",
    "clusters": "Clusters (k-means)",
    "codes": "Codes of the model's own quantizer",
    "slowness": "Slowness",
    "robustness": "Robustness",
    "similarity": "Similarity of frames",
    "segmentation": "Segmentation into phones",
    "geometry": "Geometry",
    "tsne": "Map of phones (t-SNE)",
    "item_probe": "Linear probe of items",
    "item_geometry": "Geometry of items",
    "item_map": "Map of items (t-SNE)",
    "retrieval": "Retrieval across modalities",
    "wer": "Word errors",
    "per": "Phone errors",
    "alignment": "Times of words",
    "phoneme_recognition": "Phoneme recognition (SUPERB)",
    "speech_recognition": "Speech recognition (SUPERB)",
    "keyword_spotting": "Keyword spotting (SUPERB)",
    "query_by_example": "Query by example (SUPERB)",
    "speaker_identification": "Speaker identification (SUPERB)",
    "speaker_verification": "Speaker verification (SUPERB)",
    "diarization": "Diarization (SUPERB)",
    "emotion_recognition": "Emotion recognition (SUPERB)",
    "intent_classification": "Intent classification (SUPERB)",
    "slot_filling": "Slot filling (SUPERB)",
    "intelligibility": "Intelligibility of synthesized speech",
    "voice_conversion": "Voice conversion",
    "units": "Units",
    "unit_perplexity": "Language model of units",
    "swuggy": "Words and non-words (sWUGGY)",
    "sblimp": "Grammar (sBLIMP)",
    "ssimi": "Similarity of words (sSIMI)",
    "storycloze": "Ends of stories (StoryCloze)",
    "prosaudit": "Prosody (ProsAudit)",
    "continuation": "Continuations",
    "resynthesis": "Resynthesis",
}
"""Measures, by their names in `--measures`."""

EXPLANATIONS = {
    "probe": "How well a linear classifier reads the phone off each single frame.",
    "phone_ctc": "How well a linear classifier, trained with CTC, reads the sequence of phones off an utterance.",
    "alignment": "How far words of known texts, as a recognizer finds them, are from where they are spoken.",
    "speaker": "How well a linear classifier identifies the speaker.",
    "abx": (
        "Is a phone X nearer to an A, which is the same phone, than to a B, which is another? Nothing is trained on top: it rates the "
        "distances between the features themselves. 0% is perfect, 50% is chance."
    ),
    "clusters": (
        "What clusters of frames say about phones (NMI: 0 nothing, 1 all, with no more clusters than that takes). Inertia is the mean "
        "squared distance to the nearest center, relative inertia its share of the variance (arXiv:2104.11946, Figure 4)."
    ),
    "codes": "What codes say about phones (NMI: 0 nothing, 1 all, with no more codes than that takes), and how many are in use.",
    "slowness": "Phones last about 80 ms. How much changes from frame to frame, and how long does a cluster code hold?",
    "robustness": (
        "Each recording is encoded twice, once with another sound mixed in. Relative disturbance: 0 where nothing changed, 1 where a frame "
        "is no nearer to itself than to any other."
    ),
    "similarity": (
        "Cosines of pairs of frames (arXiv:2104.11946, Figure 3): frames of one phone should be more alike than frames of two. The "
        "location artefact is what of the change over time repeats with the encoder's strides and not with the speech."
    ),
    "segmentation": (
        "Phone boundaries where consecutive frames differ most, or where the model's own alignment moves on. R-value: 1 is perfect, and "
        "proposing more boundaries does not help."
    ),
    "geometry": (
        "Alignment: how near frames of one phone lie on the sphere. Uniformity: how evenly all of them fill it (lower is more even). "
        "Relative alignment is 1 where phones play no part. Effective rank: how many dimensions are in use."
    ),
    "tsne": "Every dot is a phone's mean frame, near to those that are alike.",
    "item_probe": (
        "How well a linear classifier names the class of a clip or a picture from one vector of it; audio to image: trained on sounds, "
        "tested on pictures."
    ),
    "item_geometry": (
        "Alignment: how near items of one class lie on the sphere. Uniformity: how evenly all of them fill it (lower is more even). "
        "Relative alignment is 1 where classes play no part, relative pair alignment where it plays none which picture belongs to which "
        "sound. Modality gap: how far sounds and pictures of a class lie apart, in distances between classes."
    ),
    "item_map": "Every dot is a clip or a picture, near to those that are alike; colors are classes, markers are modalities.",
    "retrieval": (
        "Is a sound's own picture the nearest of all pictures (R@1), or among the five nearest (R@5), and the other way round? "
        "By class: is any picture of its class?"
    ),
    "wer": "Words that were substituted, deleted and inserted, by all words of the references: 0% is perfect, and it may exceed 100%.",
    "intelligibility": (
        "What a recognizer writes of synthesized speech, compared with what was said: of recordings, of the same resynthesized from their "
        "units, converted into another voice, and with their units shuffled, which says nothing."
    ),
    "voice_conversion": (
        "Whether speech that was converted into another voice is taken for that speaker, by a verifier that learnt the voices from other "
        "recordings. Source unchanged: the same before it was converted."
    ),
    "units": (
        "How many units are in use, what they cost in bits a second, and what they say about phones; frames, shuffled: the same units in "
        "another order."
    ),
    "unit_perplexity": (
        "What each unit costs, and a second of speech, where the model says what comes next; n-grams of the training units stand beside. "
        "Only bits a second can be compared with other units."
    ),
    "resynthesis": (
        "How far speech that is spoken again from its units lies from the recording: envelopes (mel-cepstral distortion), pitch, and the "
        "units that are found in it. Units shuffled: the same sounds in another order."
    ),
    "swuggy": (
        "How often a word is found likelier than its non-word. 50% is chance; what length and n-grams of units reach is no knowledge of "
        "words."
    ),
    "sblimp": "How often a sentence is found likelier than an ungrammatical one: 50% is chance. Length and n-grams of units stand beside.",
    "ssimi": "Rank correlation of distances of words with what people say of them, times 100: 0 is chance, 100 perfect.",
    "continuation": (
        "Perplexity by a trigram of units, and how much samples repeat themselves (auto-BLEU) and one another (self-BLEU), beside how "
        "recordings go on; AUC: the area below the curve of perplexity over VERT, their geometric mean."
    ),
    "per": "Phones that were substituted, deleted and inserted, by all phones of the references.",
}
"""What a measure measures, in a sentence or two."""

CONTROL = "control"
"""The detail by which a measure marks a row of a model that is none of its making: with shuffled units, by chance, as it was recorded."""

UNTRAINED = " (untrained)"
"""How the untrained copy of a model is named in the results."""


class Kind(NamedTuple):
    """What must be alike for numbers to be compared."""

    measure: str
    protocol: str
    metric: str
    corpus: str
    split: str
    data: str = ""
    """A digest of what the corpora hold, whatever they are called; lines of older versions have none."""


class Source(NamedTuple):
    """Whose number it is. `run` is the place of its run on the page, None for a reference, which no run trained."""

    run: int | None
    model: str
    layer: str
    step: int | None
    seed: int

    @property
    def trained(self) -> str:
        """The model's name, or that of the model whose untrained copy this is."""
        return self.model.removesuffix(UNTRAINED)


@dataclass(frozen=True)
class Line:
    """A row of a comparison."""

    source: Source
    result: Result
    label: str
    gain: Result | None
    """Over its untrained copy."""
    history: tuple[Result, ...] = ()
    """The same of all steps of the run that were measured, this one last; nothing where there is only one."""

    @property
    def run(self) -> int | None:
        """The place of its run on the page, which gives its color."""
        return self.source.run

    @property
    def untrained(self) -> bool:
        """Whether this is a run's untrained copy."""
        return self.source.model.endswith(UNTRAINED)

    @property
    def layer(self) -> str:
        """The layer, or nothing where there is only one and it says nothing new."""
        return "" if self.result.layer in {"none", self.result.model} else self.result.layer


@dataclass(frozen=True)
class Comparison:
    """Numbers that were measured alike: references first, then run by run, each after its untrained copy and as of its last step."""

    kind: Kind
    lines: tuple[Line, ...]

    @property
    def title(self) -> str:
        """What was measured, in words."""
        return TITLES.get(self.kind.measure, self.kind.measure) + (", on what it learned from" if self.seen else "")

    @property
    def explanation(self) -> str:
        """What it measures, or nothing where nobody wrote it down, or where it ranks nothing."""
        return "" if self.seen else EXPLANATIONS.get(self.kind.measure, "")

    @property
    def metric(self) -> str:
        """The metric, in words."""
        return self.kind.metric.replace("_", " ")

    @property
    def declared(self) -> Metric:
        """What kind of number it is; lines of older versions do not say."""
        return next((line.result.declared for line in reversed(self.lines) if line.result.declared != NO_RANK), NO_RANK)

    @property
    def seen(self) -> bool:
        """Whether it was measured on what the measure itself had learned from, which ranks nothing."""
        return self.kind.split == "train"

    @property
    def best(self) -> Line | None:
        """The best of all lines."""
        return None if self.seen else self.best_of(self.lines)

    def best_of(self, lines: Iterable[Line]) -> Line | None:
        """Return the best of some lines, or None where the metric does not rate.

        Chance, which by nature has no interval, is never it, nor is a control, such as the recordings that a synthesizer imitates.
        """
        if self.declared.direction == "none":
            return None
        everyone = [line for line in lines if not line.result.details.get(CONTROL)]
        measured = [line for line in everyone if line.result.low is not None or line.result.drawn is not None]
        return max(measured or everyone, key=lambda line: self.sign * line.result.value, default=None)

    @property
    def sign(self) -> int:
        """What makes more of it better."""
        return -1 if self.declared.direction == "lower" else 1


def compare(records: Sequence[Record]) -> list[Comparison]:
    """Put the results of all runs side by side, in the order of measuring, training splits last; of two alike the later counts."""
    latest: dict[tuple[Kind, Source], Result] = {}
    names: dict[tuple[str, str], str] = {}  # a corpus that was moved has the name that it had first
    beside = _beside(records)
    for place, record in enumerate(records):
        models = {r.model.removesuffix(UNTRAINED) for r in record.results if r.step is not None or r.model.endswith(UNTRAINED)}
        for result in record.results:
            run = place if result.model.removesuffix(UNTRAINED) in models else None
            what = (result.measure, result.protocol, result.split, result.data_fingerprint)
            data = beside.get(what, result.data_fingerprint)
            corpus = names.setdefault((data, result.split), result.corpus) if data else result.corpus
            kind = Kind(result.measure, result.protocol, result.metric, corpus, result.split, data)
            latest[kind, Source(run, result.model, result.layer, result.step, result.seed)] = result
    kinds = dict.fromkeys(kind for kind, _ in latest if not kind.metric.startswith(GAIN))
    comparisons = (_comparison(kind, latest, records) for kind in kinds)
    return sorted(comparisons, key=lambda comparison: comparison.seen)


def _beside(records: Sequence[Record]) -> dict[tuple[str, str, str, str], str]:
    """Find numbers that stand beside others of the same evaluation, which learnt nothing for it: the data of those, by theirs.

    So the n-grams of a training corpus stand beside a language model. Where they were counted in several corpora, each stands by itself.
    """
    learnt: dict[tuple[str, str, str, str], str] = {}
    others: dict[tuple[str, str, str, str], str] = {}
    for result in (result for record in records for result in record.results if result.data_fingerprint):
        if evaluation := result.details.get("fingerprint"):  # of the model, the corpora, and all else that the measure read
            found = learnt if "trained_on" in result.details else others
            found[result.measure, result.protocol, result.split, evaluation] = result.data_fingerprint
    own = {(*key[:3], data): others[key] for key, data in learnt.items() if key in others}
    corpora = Counter((*key[:3], data) for key, data in own.items())
    return {key: data for key, data in own.items() if corpora[*key[:3], data] == 1}


def _comparison(kind: Kind, results: Mapping[tuple[Kind, Source], Result], records: Sequence[Record]) -> Comparison:
    found = {source: result for (of, source), result in results.items() if of == kind}
    steps: dict[Source, list[Result]] = {}
    for source, result in sorted(found.items(), key=lambda pair: pair[0].step or 0):
        steps.setdefault(source._replace(step=None), []).append(result)
    lines = []
    for source, result in found.items():
        history = steps[source._replace(step=None)]
        if result is history[-1]:
            gain = next((g for name in gains(kind.metric) if (g := results.get((kind._replace(metric=name), source)))), None)
            lines.append(Line(source, result, _label(source, list(found), records), gain, tuple(history) if len(history) > 1 else ()))
    worse_first = Comparison(kind, tuple(lines)).sign
    references = sorted((line for line in lines if line.run is None), key=lambda line: worse_first * line.result.value)
    runs = sorted((line for line in lines if line.run is not None), key=lambda line: (line.run, line.source.trained, not line.untrained))
    return Comparison(kind, (*references, *runs))


def _label(source: Source, others: Sequence[Source], records: Sequence[Record]) -> str:
    """Name a line by its run, or by its model where a run holds several; with the seed only where it distinguishes lines."""
    alone = source.run is not None and len({other.trained for other in others if other.run == source.run}) == 1
    name = records[source.run].name if source.run is not None and alone else source.trained
    words = [name + (", untrained" if source.model.endswith(UNTRAINED) else "")]
    if len({other.seed for other in others}) > 1:
        words.append(f"seed {source.seed}")
    return ", ".join(words)
