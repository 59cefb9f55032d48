"""Hidden Markov models (HMM, GMM-HMM): letters or phones as chains of states, frames as Gaussian mixtures of each, from a flat start.

Rabiner, "A tutorial on hidden Markov models" (Proc. IEEE 1989); mixtures grow as in HTK and Kaldi (Young et al., "The HTK book").

    waveform (B, S) --> features (B, T, D), mean 0 and variance 1 in each utterance --> Gaussian mixtures --> log p(frame | state) (B, T, S)

    equal alignment:   the states of each transcript, silence at both ends, share out its frames evenly
    then, pass by pass:   best path (Viterbi) or all paths (Baum-Welch) --> means, variances, weights, staying and going --> more Gaussians

No gradient and no neural network. Text is searched for among the words of the transcripts, by token passing, or with another lexicon.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from foresay.contracts import SILENCES, Encoded, Estimator, FeatureExtractor, FitData, Frames, Transcribed, sent
from foresay.contracts.states import StateRecognizer, Topology, check_encoder
from foresay.decoding.state_alignment import StateChain, align_states, state_statistics
from foresay.errors import UserError
from foresay.layers.cmvn import cmvn
from foresay.layers.gaussian_mixtures import GaussianMixtures, MixtureSums
from foresay.settings import require_not_negative, require_positive
from foresay.text.lexicon import Lexicon, Spelling
from foresay.text.normalization import Normalizer, Outside
from foresay.text.vocabulary import BOUNDARY, Orthography, Vocabulary

SILENT = "<sil>"
STAY = 0.75
"""Probability of staying in a state, at first."""
UTTERANCES = 32
"""That are aligned at once."""
LEAST_SHARE = 1e-6
"""Of a frame that a state has, to be counted."""


@dataclass(frozen=True)
class HMMSettings:
    """What is recognized, by which states; sizes for minutes of speech."""

    symbols: tuple[str, ...] = ()
    """V: the vocabulary, silence first. `foresay finetune` reads it from the transcripts of the corpus."""
    words: tuple[str, ...] = ()
    """Of the transcripts, which the search finds unless it is given others: `cat`, or with its phones `cat k ae t`, once for each way to
    say it. Of the phones of a manifest there are none."""
    units: Literal["letters", "phones"] = "letters"
    """What the symbols are: letters of the texts; phones of the manifest or, where there is a lexicon, of the words of the texts."""
    lexicon: str | None = None
    """The file that says how words are pronounced (`text/lexicon.py`), one word in several ways perhaps."""
    normalization: str = "plain"
    """The profile by which a text is normalized (`text/normalization.py`); of the phones of a manifest, none is."""
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
        if self.lexicon and self.units == "letters":
            msg = "a lexicon says of which phones words are made (model.lexicon), but the symbols are letters: --set model.units=phones"
            raise ValueError(msg)

    @property
    def transcript(self) -> Literal["text", "phones"]:
        """What of an utterance is learnt: its text, or the phones that the manifest has of it."""
        return "phones" if self.units == "phones" and not (self.lexicon or self.words) else "text"


class Spoken(NamedTuple):
    """An utterance to learn from."""

    frames: Tensor
    """(T, D)"""
    chain: StateChain
    first: StateChain
    """With each word's first pronunciation alone."""


class HMM(Estimator, StateRecognizer):
    """Features of any encoder, Gaussian mixtures of states, and how long one stays in them."""

    stay: Tensor
    """(S,) probability of staying."""

    def __init__(self, settings: HMMSettings, encoder: FeatureExtractor) -> None:
        """`encoder`: what makes frames of audio: MFCC, or any other.

        Raises:
            UserError: there are no symbols, the encoder has no such layer, or is a recognizer.
        """
        super().__init__()
        check_encoder(encoder, settings.symbols)
        s = self.settings = settings
        self.encoder, self.symbols, self.units, self.scale = encoder, s.symbols, s.units, s.scale
        (self.layer,) = encoder.chosen((s.layer or encoder.layer_names[-1],))
        self.writing = Orthography(Vocabulary(s.symbols, s.units), s.normalization, s.outside, pronounced=s.transcript == "text")
        self.normalization = s.normalization if s.transcript == "text" else None
        self.pronunciations = _pronunciations(s.words) or None
        count = s.states * len(s.symbols)
        self._states = tuple(tuple(range(first, first + s.states)) for first in range(0, count, s.states))
        self.mixtures = GaussianMixtures(count, s.gaussians, encoder.size(self.layer))
        self.register_buffer("stay", torch.full((count,), STAY))
        self.sample_rate, self.receptive_field, self.first_center = encoder.sample_rate, encoder.receptive_field, encoder.first_center

    @classmethod
    def completed(cls, settings: HMMSettings, texts: Iterable[str]) -> HMMSettings:
        """Take the vocabulary and the words from the transcripts, and their pronunciations from the lexicon, if the recipe states none.

        Raises:
            UserError: none of the words is in the lexicon, or the transcripts hold nothing.
        """
        if settings.symbols and (settings.words or settings.transcript == "phones"):
            return settings
        spoken, words = list(texts), settings.words
        if settings.transcript == "text":
            normalize = Normalizer(settings.normalization, settings.outside)
            words = words or tuple(sorted({word for text in spoken for word in normalize(text).split()}))
            words = _pronounced(words, settings.lexicon) if settings.lexicon else words
            spoken = [entry.partition(" ")[2] for entry in words] if settings.units == "phones" else spoken
        found = Orthography.symbols_of(settings.units, settings.normalization, settings.outside, spoken)[1:]
        symbols = settings.symbols or (SILENT, *(symbol for symbol in found if symbol not in {BOUNDARY, SILENT, *SILENCES}))
        return replace(settings, symbols=symbols, words=words)

    @property
    def topology(self) -> Topology:
        """The states of the symbols, and how long one stays in them."""
        return Topology(self._states, self.stay.log(), (1 - self.stay).log())

    def fit(self, data: FitData) -> None:
        """Estimate everything from a corpus with transcripts; utterances shorter than their states are left out and counted.

        Raises:
            UserError: there is nothing to learn from.
        """
        settings, spoken = self.settings, self._spoken(data)
        met = {step.symbol for one in spoken for step in one.chain.steps}
        if lacking := [symbol for number, symbol in enumerate(self.symbols) if number not in met]:
            data.note(f"no utterance has {', '.join(lacking)}: the states of these stay what all frames are like")
        frames = torch.cat([one.frames for one in spoken])
        self.mixtures.begin(frames.mean(0), frames.var(0).clamp(min=settings.floor))
        self._update(self._evenly(batch) for batch in _batches(spoken))
        gaussians = 1
        for number in range(settings.passes):
            if number and number % settings.grow_every == 0:
                gaussians = min(2 * gaussians, settings.gaussians)
                self.mixtures.grow(gaussians)
            score, dropped = self.improve(spoken)
            data.passed(number + 1, settings.passes, {"log_p": score, "gaussians": gaussians, "dropped": dropped})

    def improve(self, spoken: Sequence[Spoken]) -> tuple[float, int]:
        """Do a pass. Returns log p of a frame before it, in nats, of the best path or of all, and how many Gaussians were dropped."""
        counted = [self._counted(batch) for batch in _batches(spoken)]
        dropped = self._update(counts for _, counts in counted)
        return sum(total for total, _ in counted) / sum(len(one.frames) for one in spoken), dropped

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
        return self.settings.states * sum(min(map(len, self.pronounce(word))) for word in self.normalized(text).split())

    def _spoken(self, data: FitData) -> list[Spoken]:
        """Encode what has a transcript that fits; what has none is left out."""
        spoken = list[Spoken]()
        for one in data.utterances(self.encoder, self.layer, self.settings.transcript):
            if why := self._unfit(one):
                data.leave_out(one.id, why)
                continue
            words = [self.pronounce(word) for word in self.normalized(one.transcript).split()]
            chains = (StateChain.of(several, self.topology) for several in (words, [ways[:1] for ways in words]))
            spoken.append(Spoken(cmvn(one.frames[None], one.frames.new_tensor([len(one.frames)]))[0], *chains))
        if not spoken:
            msg = "there is no utterance to learn from, with a transcript and a frame for each of its states: does the manifest have texts?"
            raise UserError(msg)
        return spoken

    def _unfit(self, one: Transcribed) -> str:
        """Say why nothing can be learnt from an utterance; "": it can."""
        if lacking := self.missing(one.transcript):
            return f"{'words without pronunciation' if self.pronunciations else 'symbols not in the vocabulary'}: {', '.join(lacking)}"
        if not self.normalized(one.transcript):
            return "a transcript without words"
        if (needed := self.frames_needed(one.transcript)) > len(one.frames):
            return f"fewer frames than states: {len(one.frames)} for {needed}"
        return ""

    def _evenly(self, batch: Sequence[Spoken]) -> "_Counts":
        """Share out the frames of utterances among the states of their texts and the silence at both ends, as many as there are."""
        paths, edges = list[Tensor](), range(self.settings.states)  # the first silence, and the last
        for one in batch:
            steps, count = one.first.steps, len(one.frames)
            path = [n for n, step in enumerate(steps) if step.word >= 0]
            whole = [*edges, *path, *(len(steps) - len(edges) + n for n in edges)]
            path = whole if len(whole) <= count else path
            paths.append(torch.tensor(path)[torch.arange(count) * len(path) // count])
        return self._along(batch, [one.first for one in batch], pad_sequence(paths, batch_first=True, padding_value=-1))

    def _counted(self, batch: Sequence[Spoken]) -> tuple[float, "_Counts"]:
        """Align a batch: log p, and what is to be summed."""
        frames = pad_sequence([one.frames for one in batch], batch_first=True)
        likelihoods = Encoded(self.mixtures(frames), torch.tensor([len(one.frames) for one in batch]))
        chains = [one.chain for one in batch]
        if self.settings.paths == "best":
            best = align_states(likelihoods, chains, self.topology)
            return float(best.score.sum()), self._along(batch, chains, best.positions)
        every = state_statistics(likelihoods, chains, self.topology)
        states = _states(chains).to(frames.device)[:, None].expand_as(every.gamma)
        shares = frames.new_zeros(*frames.shape[:2], len(self.stay)).scatter_add_(2, states, every.gamma)  # (B, T, S)
        row, time, state = (shares > LEAST_SHARE).nonzero(as_tuple=True)
        sums = self.mixtures.sums(frames[row, time], state, shares[row, time, state])
        return float(every.total.sum()), _Counts(sums, every.stays, every.goes)

    def _along(self, batch: Sequence[Spoken], chains: Sequence[StateChain], positions: Tensor) -> "_Counts":
        """Count along paths through chains: positions (B, T), -1 beyond an utterance's length."""
        real = positions >= 0
        states = _states(chains).to(positions.device).gather(1, positions.clamp(min=0))[real]
        goes = (positions != torch.nn.functional.pad(positions[:, 1:], (0, 1), value=-1))[real]  # the last state is left, too
        sums = self.mixtures.sums(torch.cat([one.frames for one in batch]), states, goes.new_ones(len(states), dtype=torch.float32))
        return _Counts(sums, *(states[how].bincount(minlength=len(self.stay)) for how in (~goes, goes)))

    def _update(self, counts: Iterable["_Counts"]) -> int:
        """Estimate everything anew. Returns how many Gaussians were dropped, which had too few frames."""
        sums, stays, goes = zip(*counts, strict=True)
        stayed, left = (torch.stack(several).sum(0).double() for several in (stays, goes))
        share = (stayed / (stayed + left).clamp(min=1e-10)).to(self.stay).clamp(1e-3, 1 - 1e-3)
        self.stay.copy_(torch.where(left > 0, share, self.stay))
        return self.mixtures.update(MixtureSums.of(sums), least=self.settings.least, floor=self.settings.floor)


class _Counts(NamedTuple):
    """What a pass sums."""

    sums: MixtureSums
    stays: Tensor
    """(S,)"""
    goes: Tensor


def _states(chains: Sequence[StateChain]) -> Tensor:
    """Return the states of positions: (B, N)."""
    return pad_sequence([torch.tensor([step.state for step in chain.steps]) for chain in chains], batch_first=True)


def _batches(spoken: Sequence[Spoken]) -> Iterator[list[Spoken]]:
    """Put utterances of about equal length together."""
    ordered = sorted(spoken, key=lambda one: len(one.frames))
    return (ordered[first : first + UTTERANCES] for first in range(0, len(ordered), UTTERANCES))


def _pronunciations(words: Iterable[str]) -> Mapping[str, tuple[Spelling, ...]]:
    """Return the ways to say each word, of entries `cat k ae t`; one that is alone is spelled."""
    found = defaultdict[str, tuple[Spelling, ...]](tuple)
    for entry in words:
        word, *symbols = entry.split()
        found[word] += (tuple(symbols or word),)
    return dict(found)


def _pronounced(words: Sequence[str], path: str) -> tuple[str, ...]:
    """Look words up in a lexicon: an entry for each way to say one that it has.

    Raises:
        UserError: it has none of them.
    """
    spellings = Lexicon.read(path).spellings
    entries = tuple(" ".join((word, *phones)) for word in words for phones in spellings.get(word, ()))
    if not entries:
        msg = (
            f"none of the {len(words):,} words of the transcripts, such as {', '.join(words[:3])}, is in the lexicon {path}. Usual causes: "
            "capital against small letters (model.normalization), or another language"
        )
        raise UserError(msg)
    return entries
