"""Hidden Markov models (HMM, GMM-HMM): letters or phones as chains of states, frames as Gaussian mixtures of each, from a flat start.

Rabiner, "A tutorial on hidden Markov models" (Proc. IEEE 1989); mixtures grow as in HTK and Kaldi (Young et al., "The HTK book").

    waveform (B, S) --> features (B, T, D), mean 0 and variance 1 in each utterance --> Gaussian mixtures --> log p(frame | state) (B, T, S)

    equal alignment:   the states of each transcript, silence at both ends, share out its frames evenly
    then, pass by pass:   best path (Viterbi) or all paths (Baum-Welch) --> means, variances, weights, staying and going --> more Gaussians

No gradient and no neural network. Text is searched for among the words of the transcripts, by token passing, or with another lexicon.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from foresay import progress
from foresay.contracts import Encoded, Estimator, FeatureExtractor, FitData, Frames, StateRecognizer, Topology, sent
from foresay.decoding.state_alignment import StateChain, align_states, state_statistics
from foresay.errors import UserError
from foresay.layers.cmvn import cmvn
from foresay.layers.gaussian_mixtures import GaussianMixtures, MixtureSums
from foresay.settings import require_not_negative, require_positive
from foresay.text.normalization import Normalizer, Outside
from foresay.text.vocabulary import BOUNDARY, Orthography, Vocabulary

SILENT = "<sil>"
STAY = 0.75
"""Probability of staying in a state, at first."""
UTTERANCES = 32
"""That are aligned at once."""


@dataclass(frozen=True)
class HMMSettings:
    """What is recognized, by which states; sizes for minutes of speech."""

    symbols: tuple[str, ...] = ()
    """V: the vocabulary, silence first. `foresay finetune` reads it from the transcripts of the corpus."""
    words: tuple[str, ...] = ()
    """Of the transcripts, which the search finds unless it is given others; of phones there are none."""
    units: Literal["letters", "phones"] = "letters"
    """What the symbols are: letters of the texts, or phones of the manifest."""
    normalization: str = "plain"
    """The profile by which a text is normalized before it is spelled (`text/normalization.py`); of phones, none is."""
    outside: Outside = "refuse"
    """What becomes of digits, signs and letters that the profile has not: `refuse`, `drop`, or `map` (accents are left out)."""
    layer: str | None = None
    """Of the encoder; None: its last."""
    states: int = 3
    """Of each symbol, and of silence, from left to right."""
    gaussians: int = 8
    """Of each state in the end; their number doubles every `grow_every` passes."""
    passes: int = 16
    grow_every: int = 3
    paths: Literal["best", "all"] = "best"
    """What counts in a pass: Viterbi's path, or all paths by their probabilities (Baum-Welch)."""
    least: float = 10.0
    """Frames that a Gaussian has at least; one of fewer is dropped."""
    floor: float = 0.01
    """Of variances; those of all frames together are 1."""
    scale: float = 0.1
    """What log-likelihoods are multiplied by in a search: frames that are near each other say much the same."""

    def __post_init__(self) -> None:
        require_not_negative(self)
        require_positive(self, "states", "gaussians", "passes", "grow_every", "floor", "scale")
        Normalizer(self.normalization, self.outside)  # or there is no such profile


class Spoken(NamedTuple):
    """An utterance to learn from."""

    frames: Tensor
    """(T, D)"""
    chain: StateChain


class HMM(Estimator, StateRecognizer):
    """Features of any encoder, Gaussian mixtures of states, and how long one stays in them."""

    stay: Tensor
    """(S,) probability of staying."""

    def __init__(self, settings: HMMSettings, encoder: FeatureExtractor) -> None:
        """`encoder`: what makes frames of audio: MFCC, or any other.

        Raises:
            UserError: there are no symbols, or the encoder has no such layer.
        """
        super().__init__()
        if not settings.symbols:
            msg = "model.symbols is empty: `foresay finetune` reads the vocabulary from the transcripts of --corpus"
            raise UserError(msg)
        s = self.settings = settings
        self.encoder, self.symbols, self.units, self.scale = encoder, s.symbols, s.units, s.scale
        (self.layer,) = encoder.chosen((s.layer or encoder.layer_names[-1],))
        self.writing = Orthography(Vocabulary(s.symbols, s.units), s.normalization, s.outside)
        self.normalization = None if s.units == "phones" else s.normalization
        self.pronunciations = {word: (tuple(word),) for word in s.words} or None
        count = s.states * len(s.symbols)
        self._states = tuple(tuple(range(first, first + s.states)) for first in range(0, count, s.states))
        self.mixtures = GaussianMixtures(count, s.gaussians, encoder.size(self.layer))
        self.register_buffer("stay", torch.full((count,), STAY))
        self.sample_rate, self.receptive_field, self.first_center = encoder.sample_rate, encoder.receptive_field, encoder.first_center

    @classmethod
    def completed(cls, settings: HMMSettings, texts: Iterable[str]) -> HMMSettings:
        """Take the vocabulary and the words from the transcripts, if the recipe states none."""
        if settings.symbols and (settings.words or settings.units == "phones"):
            return settings
        known = list(texts)
        symbols = Orthography.symbols_of(settings.units, settings.normalization, settings.outside, known)[1:]
        words: set[str] = set()
        if settings.units == "letters":
            normalize = Normalizer(settings.normalization, settings.outside)
            words = {word for text in known for word in normalize(text).split()}
        own = settings.symbols or (SILENT, *(symbol for symbol in symbols if symbol not in {BOUNDARY, SILENT}))
        return replace(settings, symbols=own, words=tuple(sorted(words)))

    @property
    def topology(self) -> Topology:
        """The states of the symbols, and how long one stays in them."""
        return Topology(self._states, self.stay.log(), (1 - self.stay).log())

    def fit(self, data: FitData) -> None:
        """Estimate everything from a corpus with transcripts; utterances shorter than their states are left out and counted.

        Raises:
            UserError: there is nothing to learn from.
        """
        spoken = self._spoken(data)
        frames = torch.cat([one.frames for one in spoken])
        self.mixtures.begin(frames.mean(0), frames.var(0).clamp(min=self.settings.floor))
        self._update([self._evenly(one) for one in spoken])
        gaussians = 1
        for number in progress.ProgressBar(range(self.settings.passes), "passes", "pass"):
            if number and number % self.settings.grow_every == 0:
                gaussians = min(2 * gaussians, self.settings.gaussians)
                self.mixtures.grow(gaussians)
            self.improve(spoken)

    def improve(self, spoken: Sequence[Spoken]) -> float:
        """Do a pass: align, and estimate everything anew. Returns the log p of a frame before, in nats, of the best path or of all."""
        counted = [self._counted(batch) for batch in _batches(spoken)]
        self._update([one for _, one in counted])
        return sum(total for total, _ in counted) / sum(len(one.frames) for one in spoken)

    def features(self, waveforms: Tensor, lengths: Tensor, layers: Sequence[str] | None = None) -> Frames:
        """Score the states of every frame of waveforms (B, S), of which `lengths` (B,) are real: log p (B, T, S)."""
        self.chosen(layers)
        (name,) = self.layer_names
        counts = self.frame_count(lengths, name)
        found = self.encoder.features(waveforms, lengths, (self.layer,)).values[self.layer]
        scores = self.mixtures(cmvn(found, sent(counts, found.device)))
        return Frames({name: scores}, {name: counts}, {name: self.sample_rate / self.encoder.hop(self.layer)})

    def frame_count(self, lengths: Tensor, layer: str) -> Tensor:
        """Frames that clips of so many samples give: (B,) -> (B,)."""
        return self.encoder.frame_count(lengths, self.layer)

    def frames_needed(self, text: str) -> int:
        """Count the frames that a transcript takes at least: one a state."""
        return self.settings.states * len(self.spell(text))

    def spell(self, text: str) -> list[int]:
        """Return the symbols of a transcript; there is none between words.

        Raises:
            UserError: it has one that the vocabulary lacks.
        """
        return [symbol for word in self.normalized(text).split() for symbol in self.writing.spell(word)]

    def _spoken(self, data: FitData) -> list[Spoken]:
        """Encode what has a transcript that fits."""
        spoken, short, total = list[Spoken](), 0, 0
        for frames, text in data.utterances(self.encoder, self.layer, "phones" if self.units == "phones" else "text"):
            total += 1
            words = [self.pronounce(word) for word in self.normalized(text).split()]
            if not words or self.frames_needed(text) > len(frames):
                short += 1
                continue
            spoken.append(
                Spoken(cmvn(frames[None], torch.tensor([len(frames)], device=frames.device))[0], StateChain.of(words, self.topology))
            )
        if not spoken:
            msg = f"none of the {total:,} utterances has a transcript and a frame for each of its states: does the manifest have texts?"
            raise UserError(msg)
        if short:
            progress.say(f"{short:,} of {total:,} utterances are left out: no transcript, or fewer frames than its states")
        return spoken

    def _evenly(self, one: Spoken) -> "_Counts":
        """Share out the frames of an utterance among the states of its text and the silence at both ends, as many as there are."""
        path = [n for n, step in enumerate(one.chain.steps) if step.word >= 0]
        edges = range(self.settings.states)  # the first silence, and the last
        path = [*edges, *path, *(len(one.chain.steps) - self.settings.states + n for n in edges)]
        if len(path) > len(one.frames):
            path = path[self.settings.states : -self.settings.states]
        places = torch.tensor(path)[torch.arange(len(one.frames)) * len(path) // len(one.frames)]
        return self._along(one, places)

    def _counted(self, batch: Sequence[Spoken]) -> tuple[float, "_Counts"]:
        """Align a batch: log p, and what is to be summed."""
        frames = pad_sequence([one.frames for one in batch], batch_first=True)
        likelihoods = Encoded(self.mixtures(frames), torch.tensor([len(one.frames) for one in batch]))
        chains = [one.chain for one in batch]
        if self.settings.paths == "best":
            best = align_states(likelihoods, chains, self.topology)
            counts = [self._along(one, row[: len(one.frames)]) for one, row in zip(batch, best.positions, strict=True)]
            return float(best.score.sum()), _summed(counts)
        every = state_statistics(likelihoods, chains, self.topology)
        sums = [self._shared(one, gamma[: len(one.frames), : len(one.chain.steps)]) for one, gamma in zip(batch, every.gamma, strict=True)]
        return float(every.total.sum()), _Counts(MixtureSums.of(sums), every.stays, every.goes)

    def _along(self, one: Spoken, path: Tensor) -> "_Counts":
        """Count along a path (T,) of positions."""
        states = torch.tensor([step.state for step in one.chain.steps], device=path.device)[path]
        goes = torch.cat([path.diff() != 0, path.new_ones(1, dtype=torch.bool)])  # the last state is left, too
        count = len(self.stay)
        shares = torch.zeros(len(path), count, device=one.frames.device)
        shares[torch.arange(len(path)), states] = 1
        return _Counts(
            self.mixtures.sums(one.frames, shares), states[~goes].bincount(minlength=count), states[goes].bincount(minlength=count)
        )

    def _shared(self, one: Spoken, gamma: Tensor) -> MixtureSums:
        """Sum the frames of an utterance by the posterior (T, N) of its positions."""
        states = torch.tensor([step.state for step in one.chain.steps], device=gamma.device)
        shares = torch.zeros(len(gamma), len(self.stay), device=gamma.device).index_add_(1, states, gamma)
        return self.mixtures.sums(one.frames, shares)

    def _update(self, counts: Sequence["_Counts"]) -> None:
        found = _summed(counts)
        if dropped := self.mixtures.update(found.sums, least=self.settings.least, floor=self.settings.floor):
            progress.say(f"{dropped:,} Gaussians had fewer than {self.settings.least:g} frames, and are dropped")
        stays, goes = found.stays.double(), found.goes.double()
        seen = goes > 0
        self.stay.copy_(torch.where(seen, (stays / (stays + goes).clamp(min=1e-10)).to(self.stay).clamp(1e-3, 1 - 1e-3), self.stay))


class _Counts(NamedTuple):
    """What a pass sums."""

    sums: MixtureSums
    stays: Tensor
    """(S,)"""
    goes: Tensor


def _summed(counts: Sequence[_Counts]) -> _Counts:
    stays, goes = (torch.stack([getattr(one, name) for one in counts]).sum(0) for name in ("stays", "goes"))
    return _Counts(MixtureSums.of([one.sums for one in counts]), stays, goes)


def _batches(spoken: Sequence[Spoken]) -> Iterator[list[Spoken]]:
    """Put utterances of about equal length together."""
    ordered = sorted(spoken, key=lambda one: len(one.frames))
    return (ordered[first : first + UTTERANCES] for first in range(0, len(ordered), UTTERANCES))
