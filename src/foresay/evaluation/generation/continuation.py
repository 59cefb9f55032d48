"""Continuations of a unit language model: does it stutter, speak or babble, and at which temperature? (GSLM, arXiv:2102.01192, section 3.2)

    the first seconds of a recording --> units --> language model, at a temperature --> units, as many as the recording goes on for

    perplexity    by a trigram of the units of --train-corpus: low where a sample repeats what is common, high where it is noise
    auto-BLEU     how much a sample repeats itself         self-BLEU   how alike samples are         VERT   their geometric mean

Self-BLEU grows with the number of texts that a sample is compared with. So each is compared with one sample of every other prompt (the
first with the first, the second with the second), which are as many as the recordings are.

The law: at a low temperature samples stutter (auto-BLEU is high, perplexity low), at a high one they babble. Neither number rates a model
by itself, and the recordings' own continuations stand beside them (`recorded`). What rates it is the curve of perplexity over VERT, where
it passes the recordings: the perplexity at their VERT, and the VERT at their perplexity (oracle points; nothing, where the curve does not
reach them). Its area (`AUC`, over VERT in percent, from the lowest to the highest) is the larger the wider the curve is: models whose
curves span other VERTs are not ranked by it.

With a vocoder, a recognizer and a language model of text (`--option continuation.vocoder=RUN`, `recognizer=RUN`, `language_model=RUN`),
samples are spoken and transcribed, and the same numbers are of the words of transcripts, as in the paper.
An interval draws prompts again. A prompt is cut out of the units of a recording, and a sample is cut to as many units as follow there.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import ClassVar, NamedTuple, TypeAlias

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from foresay import draws
from foresay.contracts import Extractor, LanguageModel, Sampling, TokenModel, Tokens
from foresay.corpora.manifest import Manifest
from foresay.encoding.subjects import Subject, with_untrained
from foresay.errors import UserError
from foresay.evaluation.generation._pairs import CONTROL
from foresay.evaluation.generation._transcripts import TranscriptScorer
from foresay.evaluation.generation._units import (
    Units,
    count_units,
    encode_frames,
    encode_units,
    joined,
    modelled_units,
    said_of_training,
    said_of_windows,
    score_symbols,
    token_model,
)
from foresay.evaluation.measure import Corpora, Measure, Population, Where
from foresay.progress import ProgressBar
from foresay.results import Metric, Result
from foresay.settings import require_positive
from foresay.statistics.bleu import Averaging, auto_bleu, self_bleu
from foresay.statistics.estimates import Floats, estimate
from foresay.statistics.rank_correlation import rank_correlation

PERPLEXITY, SELF, AUTO, VERT = "perplexity", "self-BLEU", "auto-BLEU", "VERT"
AREA, AT_VERT, AT_PERPLEXITY = "AUC", "perplexity at recorded VERT", "VERT at recorded perplexity"
RISES, FALLS = "rank correlation of temperature and perplexity", "rank correlation of temperature and auto-BLEU"
RECORDED, ALL = "recorded", "all temperatures"
TRANSCRIPTS = " of transcripts"
TRIGRAM = 3
TOGETHER = 16
"""Prompts that are continued at once."""


@dataclass(frozen=True)
class ContinuationProtocol:
    """What is continued, how, and who judges it."""

    name: str
    prompt: float
    """Seconds of a prompt."""
    shortest: float
    """Seconds of a recording whose beginning is a prompt."""
    prompts: int
    """Recordings, the shortest of these."""
    samples: int
    """Continuations of a prompt at a temperature."""
    temperatures: tuple[float, ...]
    longest: int = 500
    """Units of a sample."""
    top_k: int | None = None
    top_p: float | None = None
    order: int = 2
    """Of the longest n-grams that BLEU counts."""
    averaging: Averaging = "geometric"
    """Over the orders of n-grams."""
    vocoder: str = ""
    """Run that speaks the samples."""
    voice: str = ""
    """Who speaks them: a name that the vocoder knows; default: the first of these."""
    recognizer: str = ""
    """Run that transcribes them."""
    language_model: str = ""
    """Run, or ARPA file, whose perplexity of the transcripts it is."""

    def __post_init__(self) -> None:
        require_positive(self, "prompt", "shortest", "prompts", "samples", "longest", "order")
        if self.prompt >= self.shortest:
            msg = f"shortest = {self.shortest} s must be more than prompt = {self.prompt} s: something must follow the prompt"
            raise ValueError(msg)
        if len(set(self.temperatures)) < 2 or min(self.temperatures) <= 0:  # noqa: PLR2004 - a curve has two ends
            msg = f"temperatures = {list(self.temperatures)}: two or more are needed, all different and above 0, for a curve"
            raise ValueError(msg)
        if any((self.vocoder, self.recognizer, self.language_model)) and not all((self.vocoder, self.recognizer, self.language_model)):
            msg = "transcripts of samples take all three: vocoder, which speaks, recognizer, which writes, and language_model, which judges"
            raise ValueError(msg)


class Prompt(NamedTuple):
    """The beginning of a recording, and how it goes on."""

    name: str
    place: int
    """In the manifest."""
    units: torch.Tensor
    """(U,)"""
    follows: torch.Tensor
    """(U,)"""


class Sampled(NamedTuple):
    """What follows a prompt."""

    prompt: int
    """Its place among the prompts."""
    number: int
    """Which of those of the prompt."""
    units: torch.Tensor
    """(U,)"""


Samples: TypeAlias = Sequence[Sampled]


class Continuations(Measure[ContinuationProtocol]):
    """Perplexity, self-BLEU, auto-BLEU and VERT of samples at several temperatures."""

    name = "continuation"
    by_layer = False
    metrics: ClassVar[Mapping[str, Metric]] = {
        f"{name}{of}": kind
        for of in ("", TRANSCRIPTS)
        for name, kind in {
            AREA: Metric("none"),
            AT_VERT: Metric("lower", headline=not of),
            AT_PERPLEXITY: Metric("lower", "%"),
            PERPLEXITY: Metric("none"),
            SELF: Metric("none", "%"),
            AUTO: Metric("none", "%"),
            VERT: Metric("none", "%"),
            RISES: Metric("none"),
            FALLS: Metric("none"),
        }.items()
    }
    protocols: ClassVar[Mapping[str, ContinuationProtocol]] = {
        "gslm": ContinuationProtocol("gslm", 3.0, 6.0, 1000, 10, (0.3, 0.5, 0.7, 0.9, 1.0, 1.1, 1.3, 1.5)),
        "tiny": ContinuationProtocol("tiny", 1.0, 2.0, 24, 2, (0.3, 0.7, 1.0, 1.5)),
    }

    def __init__(self, protocol: ContinuationProtocol) -> None:
        super().__init__(protocol)
        self.scorer = TranscriptScorer.of(protocol.vocoder, protocol.voice, protocol.recognizer, protocol.language_model)
        self.files = self.scorer.files if self.scorer else ()

    def serves(self, model: Extractor, corpora: Corpora) -> bool:  # noqa: ARG002 - whatever the corpus
        """Whether it is a language model of units."""
        return isinstance(model, TokenModel)

    def __call__(self, subjects: Sequence[Subject], corpora: Corpora, *, seed: int = 0, device: str = "cpu") -> list[Result]:
        """Continue the beginnings of recordings of `corpora.test`; the trigram is counted in `corpora.train`.

        Raises:
            UserError: a model is no language model of units, there is no corpus to count in, or no recording is long enough.
        """
        train, test = corpora.both(f"the trigram of {self.name}")
        return [row for subject in with_untrained(subjects) for row in self._rows(subject, train, test, seed, device)]

    def _rows(self, subject: Subject, train: Manifest, test: Manifest, seed: int, device: str) -> Iterator[Result]:
        started, model = perf_counter(), token_model(subject, self.name)
        prompts = self._prompts(subject, model, test, device)
        trigram = count_units(encode_units(subject, train, device), TRIGRAM)
        recorded = [Sampled(place, 0, prompt.follows) for place, prompt in enumerate(prompts)]
        samples: dict[str, Samples] = {RECORDED: recorded}
        for temperature in ProgressBar(sorted(self.protocol.temperatures), "sampling", "temperature"):
            samples[f"temperature {temperature:g}"] = self._sample(model, prompts, temperature, seed)
        where = Where("test", test, seed, started, Population("prompts", [prompt.name for prompt in prompts]))
        whole = [torch.cat([prompts[one.prompt].units, one.units]) for name, some in samples.items() if name != RECORDED for one in some]
        windows = said_of_windows(model, dict(enumerate(whole)), "prompts with a sample")
        learnt = {"trained_on": train.name, **joined(said_of_training(subject, Corpora(test, train)), windows)}
        texts = {name: [[str(unit) for unit in one.units.tolist()] for one in some] for name, some in samples.items()}
        scored = {name: _nats(trigram, prompts, some) for name, some in samples.items()}
        yield from self._judged(subject, "", samples, texts, scored, where, learnt)
        if self.scorer:
            texts, scored = self.scorer.transcripts(model, {name: [one.units for one in some] for name, some in samples.items()}, device)
            yield from self._judged(subject, TRANSCRIPTS, samples, texts, scored, where, {})

    def _prompts(self, subject: Subject, model: TokenModel, test: Manifest, device: str) -> list[Prompt]:
        """Cut prompts out of the shortest recordings that are long enough."""
        own = self.protocol
        places = [place for place in np.argsort(test.durations, kind="stable").tolist() if test.durations[place] >= own.shortest][
            : own.prompts
        ]
        if not places:
            msg = (
                f"no recording of {test.name} lasts {own.shortest} s, so that there is nothing to continue: give longer ones, or lower "
                "--option continuation.shortest and continuation.prompt"
            )
            raise UserError(msg)
        frames = encode_frames(subject, test, device, set(places))
        cut = round(own.prompt * model.tokenizer.frame_rate)
        whole, begun = (modelled_units(model, some) for some in (frames, {place: units[:cut] for place, units in frames.items()}))
        found = [Prompt(test.ids[place], place, begun[place], whole[place][len(begun[place]) :][: own.longest]) for place in sorted(whole)]
        usable = [prompt for prompt in found if len(prompt.units) and len(prompt.follows)]
        if len(usable) > 1:
            return usable
        msg = (
            f"in {len(usable)} recordings of {test.name} does a unit follow the first {own.prompt} s, and self-BLEU compares the samples "
            "of two prompts or more: give more recordings, or lower --option continuation.prompt and continuation.shortest"
        )
        raise UserError(msg)

    def _sample(self, model: TokenModel, prompts: Sequence[Prompt], temperature: float, seed: int) -> Samples:
        """Continue each prompt several times, and cut each sample to the length of what follows in the recording."""
        own = self.protocol
        longest = max(len(prompt.follows) for prompt in prompts)
        sampling = Sampling(temperature, own.top_k, own.top_p, longest)
        wanted = [(number, sample) for number in range(len(prompts)) for sample in range(own.samples)]
        found: list[Sampled] = []
        for first in range(0, len(wanted), TOGETHER):
            some = wanted[first : first + TOGETHER]
            keys = [int(draws.bits("samples of prompts", seed, prompts[number].place, sample, count=1)[0]) >> 1 for number, sample in some]
            drawn = model.generate(_tokens(model, [prompts[number].units for number, _ in some]), sampling, keys)
            for (number, sample), row, length in zip(some, drawn.ids[:, 0].cpu(), drawn.lengths.tolist(), strict=True):
                found.append(Sampled(number, sample, row[: min(length, len(prompts[number].follows))]))
        return found

    def _judged(
        self,
        subject: Subject,
        of: str,
        samples: Mapping[str, Samples],
        texts: Mapping[str, Sequence[Sequence[str]]],
        scored: Mapping[str, tuple[Floats, Floats]],
        where: Where,
        learnt: Mapping[str, str],
    ) -> Iterator[Result]:
        """Yield the numbers of each temperature, and those of the curve. `scored`: nats (N,) and symbols (N,) of each sample.

        `learnt`: what is said of the corpus that the judge has learnt from, where it is one of the measure's.
        """
        values: dict[str, dict[str, float]] = {}
        for name, some in samples.items():
            owners = np.array([one.prompt for one in some])
            alike, repeated = self._self_bleu(some, texts[name]), auto_bleu(texts[name], self.protocol.order, self.protocol.averaging)
            columns = [*scored[name], alike, repeated, np.ones(len(some))]
            sums = np.stack([np.bincount(owners, column, len(where.over.names if where.over else ())) for column in columns], axis=1)
            found = estimate(sums, _statistic, where.seed)
            values[name] = {metric: one.value for metric, one in found.items()}
            control = {CONTROL: True} if name == RECORDED else {}
            details = {"samples": len(some), "symbols": float(scored[name][1].mean()), **control, **learnt}
            for metric, one in found.items():
                yield self.row(subject, name, f"{metric}{of}", one.value, one.interval, where, **details)
        recorded = values.pop(RECORDED)
        temperatures = sorted(self.protocol.temperatures)
        curve = [(values[f"temperature {t:g}"][VERT], values[f"temperature {t:g}"][PERPLEXITY]) for t in temperatures]
        points = {
            AREA: area(curve),
            AT_VERT: crossing(curve, recorded[VERT]),
            AT_PERPLEXITY: crossing([(perplexity, vert) for vert, perplexity in curve], recorded[PERPLEXITY]),
            RISES: float(rank_correlation(temperatures, [perplexity for _, perplexity in curve])[0]),
            FALLS: float(rank_correlation(temperatures, [values[f"temperature {t:g}"][AUTO] for t in temperatures])[0]),
        }
        about = {"temperatures": temperatures, "curve": curve, RECORDED: (recorded[VERT], recorded[PERPLEXITY]), **learnt}
        for metric, value in points.items():
            if value is not None:
                yield self.row(subject, ALL, f"{metric}{of}", value, None, where, **about)

    def _self_bleu(self, samples: Samples, texts: Sequence[Sequence[str]]) -> Floats:
        """Compare each sample with those of other prompts that have its number: (N,)."""
        numbers, found = np.array([one.number for one in samples]), np.zeros(len(samples))
        for number in np.unique(numbers):
            places = np.flatnonzero(numbers == number)
            found[places] = self_bleu([texts[place] for place in places.tolist()], self.protocol.order, self.protocol.averaging)
        return found


def area(curve: Sequence[tuple[float, float]]) -> float:
    """Return the area below perplexity over VERT in percent, by trapezoids in the order of VERT."""
    verts, perplexities = zip(*sorted(curve), strict=True)
    return float(np.trapezoid(perplexities, 100 * np.array(verts)))


def crossing(curve: Sequence[tuple[float, float]], at: float) -> float | None:
    """Return y where the first stretch of a curve (x, y) passes x = `at`, on a straight line between two points; None: it never does."""
    for (x, y), (next_x, next_y) in itertools.pairwise(curve):
        if min(x, next_x) <= at <= max(x, next_x):
            return y if x == next_x else y + (next_y - y) * (at - x) / (next_x - x)
    return None


def _nats(trigram: LanguageModel, prompts: Sequence[Prompt], samples: Samples) -> tuple[Floats, Floats]:
    """Score samples after their prompts: nats (N,) and units (N,) of each."""
    whole: Units = {place: torch.cat([prompts[one.prompt].units, one.units]) for place, one in enumerate(samples)}
    scores = score_symbols(trigram, whole)
    nats = [-float(scores[place][len(whole[place]) - len(one.units) :].double().sum()) for place, one in enumerate(samples)]
    return np.array(nats), np.array([float(len(one.units)) for one in samples])


def _statistic(sums: Floats) -> Mapping[str, Floats]:
    """Means over samples, of sums over the prompts of each draw: nats, symbols, self-BLEU, auto-BLEU, samples; (n, 5) -> (n,)."""
    nats, symbols, alike, repeated, count = sums.T
    means = alike / count, repeated / count
    return {
        PERPLEXITY: np.exp(np.minimum(nats / np.maximum(symbols, 1), 700.0)),
        SELF: means[0],
        AUTO: means[1],
        VERT: np.sqrt(means[0] * means[1]),
    }


def _tokens(model: TokenModel, rows: Sequence[torch.Tensor]) -> Tokens:
    """Put units in the form that is modelled together."""
    lengths = torch.tensor([len(row) for row in rows])
    tokenizer = model.tokenizer
    return Tokens(pad_sequence(list(rows), batch_first=True)[:, None], lengths, tokenizer.vocabulary, tokenizer.fingerprint)
