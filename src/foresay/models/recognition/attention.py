"""Attention-based encoder-decoder: it listens to all of an utterance, and spells its text symbol by symbol, attending where it is spoken.

Chan et al., "Listen, Attend and Spell" (LAS, arXiv:1508.01211); location-aware attention as in Chorowski et al. (arXiv:1506.07503); trained
and decoded together with CTC as in Watanabe et al., "Hybrid CTC/Attention Architecture" (IEEE JSTSP 2017).

    waveform --> encoder --> listener: a pyramid of bidirectional LSTMs, some of which halve the rate --> h (B, T, D) --> linear --> CTC
                                                                                                              |
        y(u-1), c(u-1) --> LSTM --> s(u) --> energy of each frame = v tanh(W s(u) + V h(t) + F * a(u-1)) <----+
                                      |      a(u) = softmax over the real frames                              |
                                      |      c(u) = sum over t of a(u, t) h(t) <------------------------------+
                                      +-----------> linear on s(u), c(u) --> log p of the next symbol, or of the end       (B, U + 1, V)

Each symbol is predicted from all before it, so that the speller is a language model too. That text and audio have the same order it has to
learn: filters F over the previous attention, and the loss of CTC, which knows no other order, help. Symbol 0, the blank of CTC, begins and
ends a text. In training the previous symbol is the transcript's, now and then the model's own (scheduled sampling, arXiv:1506.03099); the
loss is smoothed: a share goes to all symbols alike (arXiv:1512.00567).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foresay import draws
from foresay.contracts import Batch, Emissions, Encoded, FeatureExtractor, Frames, Losses, Term, sent
from foresay.contracts.models import Trainable, on_host
from foresay.contracts.spelling import SpellingRecognizer, SpellingWeights
from foresay.decoding.emissions import required_frames
from foresay.errors import UserError
from foresay.layers.attention_decoder import AttentionDecoder, Spelling
from foresay.layers.bidirectional_lstm import BidirectionalLSTM
from foresay.layers.cmvn import cmvn
from foresay.layers.dropout import Dropout
from foresay.models.recognition._encoders import FrozenFeatures, begin_on
from foresay.models.recognition._masks import SPEC_AUGMENT, draw_spec_augment
from foresay.settings import require_not_negative, require_positive, require_shares
from foresay.text.normalization import Normalizer, Outside
from foresay.text.vocabulary import Kind, Orthography, Vocabulary

END, _NOT_COUNTED = 0, -100


@dataclass(frozen=True)
class AttentionSettings:
    """Sizes of LAS (section 4.2); attention, smoothing and the share of CTC as in the hybrid recipes of today."""

    symbols: tuple[str, ...] = ()
    """V: the vocabulary, the blank first. `foresay finetune` reads it from the transcripts of the corpus."""
    units: Kind = "letters"
    """What the symbols are."""
    normalization: str = "plain"
    """The profile by which a text is normalized before it is spelled (`text/normalization.py`); of phones, none is."""
    outside: Outside = "refuse"
    """What becomes of digits, signs and letters that the profile has not: `refuse`, `drop`, or `map` (accents are left out)."""
    layer: str | None = None
    """Of the encoder; None: its last."""
    cmvn: bool = True
    """Whether each feature shall have mean 0 and variance 1 over every utterance."""
    freeze: Literal["nothing", "encoder"] = "encoder"
    """What of the encoder is never trained. One that is not encodes each utterance once."""
    encoder_rate: float = 1.0
    """The encoder's share of the learning rate, if it is trained."""
    masks: Literal["none", "LB", "LD", "SM", "SS", "adaptive"] = "none"
    """Policy of SpecAugment (`_masks.py`) on what the listener is given, in training."""
    listener: int = 256
    """Units of each direction of the listener's LSTMs: D is twice as many."""
    listener_layers: int = 4
    halvings: int = 3
    """Layers, the last ones, each of which is given two frames of the one before side by side."""
    speller: int = 512
    """Units of the speller's LSTM."""
    embedding: int = 128
    """Size of what a symbol is to the speller."""
    energies: int = 128
    """Width of the layer that the energies of frames come from."""
    filters: int = 10
    """F: over the previous attention, so that the speller knows where it attended to before; 0: it goes by content alone."""
    filter_width: int = 15
    """Frames that a filter spans, an odd number."""
    dropout: float = 0.1
    """Between layers of the listener, and on what the speller is given and predicts from."""
    smoothing: float = 0.1
    """Share of the loss that goes to all symbols alike."""
    sampling: float = 0.1
    """Probability that a previous symbol is drawn from the model's own prediction, in training."""
    ctc: float = 0.3
    """Share of the loss of CTC in training; 0: there is none."""
    ctc_search: float = 0.3
    """w: share of CTC in the search."""
    length: float = 0.0
    """Nats that each symbol adds in the search."""
    coverage: float = 0.0
    """Nats that each frame adds that is attended to."""

    def __post_init__(self) -> None:
        require_not_negative(self)
        require_positive(self, "listener", "listener_layers", "speller", "embedding", "energies", "filter_width")
        require_shares(self, "dropout", "smoothing", "sampling", "ctc", "ctc_search")
        if not self.filter_width % 2 or self.halvings > self.listener_layers:
            msg = f"filter_width = {self.filter_width} is to be odd, and halvings = {self.halvings} at most listener_layers"
            raise UserError(msg)
        if self.ctc_search and not self.ctc:
            msg = f"ctc_search = {self.ctc_search} takes a CTC that was trained (model.ctc above 0): set both above 0, or ctc_search = 0"
            raise UserError(msg)
        Normalizer(self.normalization, self.outside)  # or there is no such profile


class SpelledBatch(NamedTuple):
    """A batch, spelled, with what was drawn for it; where the audio is, but for what is said."""

    given: Tensor
    """(B, U + 1): 0, then the symbols."""
    targets: Tensor
    """(B, U + 1): the symbols, then 0; -100 beyond."""
    drawn: Tensor | None
    """(B, U + 1, 2) from 0 to 1: whether the model's own symbol is given instead, and which."""
    hidden: Tensor | None
    """(B, T, C) bool: masked features of the encoder's layer."""
    counts: Tensor
    """(B,): frames of the encoder's layer."""
    symbols: Tensor
    """(sum of U,) of all utterances, one after the other."""
    lengths: Tensor
    """(B,) on the CPU: U of each."""
    frames: Tensor
    """(B,) on the CPU: T of each, of the listener."""
    learnt: int
    """Symbols of the utterances that CTC has frames enough for."""


class Listener(nn.Module):
    """Pyramid of bidirectional LSTMs: frames (B, T, C) -> (B, T // 2^halvings, D)."""

    def __init__(self, size: int, settings: AttentionSettings) -> None:
        """`size`: C."""
        super().__init__()
        s, plain = settings, settings.listener_layers - settings.halvings
        self.halves = [number >= plain for number in range(s.listener_layers)]
        sizes = [size if number == 0 else 2 * s.listener for number in range(s.listener_layers)]
        self.layers = nn.ModuleList(
            BidirectionalLSTM(2 * one if halves else one, s.listener) for one, halves in zip(sizes, self.halves, strict=True)
        )
        self.dropout = Dropout(s.dropout)

    def forward(self, frames: Tensor, counts: Tensor) -> Tensor:
        """Encode frames (B, T, C), of which `counts` (B,), where the frames are, are real. What fills no pair of frames is left out."""
        for number, (layer, halves) in enumerate(zip(self.layers, self.halves, strict=True)):
            if halves:
                frames = frames[:, : frames.shape[1] // 2 * 2].unflatten(1, (-1, 2)).flatten(2)
                counts = counts // 2
            frames = layer(self.dropout(frames) if number else frames, counts)
        return frames


class AttentionRecognizer(SpellingRecognizer, Trainable):
    """Any encoder, a listener and a speller."""

    needs = ("audio", "text")
    rate_groups = ("encoder.",)

    def __init__(self, settings: AttentionSettings, encoder: FeatureExtractor) -> None:
        """`encoder`: what makes frames of audio; a run, a checkpoint, a baseline, or one that is built untrained.

        Raises:
            UserError: the encoder has no such layer, or is a recognizer.
        """
        super().__init__()
        begin_on(encoder, settings.symbols)
        s = self.settings = settings
        self._frozen = s.freeze == "encoder"
        self.encoder, self.symbols = encoder, s.symbols
        if isinstance(encoder, nn.Module):
            encoder.requires_grad_(requires_grad=not self._frozen)
        self.writing = Orthography(Vocabulary(s.symbols, s.units), s.normalization, s.outside)
        (self.layer,) = encoder.chosen((s.layer or encoder.layer_names[-1],))
        self.channels, hop = encoder.size(self.layer), encoder.hop(self.layer)
        self.listener = Listener(self.channels, s)
        self.decoder = AttentionDecoder(
            2 * s.listener,
            len(s.symbols),
            hidden=s.speller,
            embedding=s.embedding,
            energies=s.energies,
            filters=s.filters,
            width=s.filter_width,
            dropout=s.dropout,
        )
        self.head = nn.Linear(2 * s.listener, len(s.symbols)) if s.ctc else None
        self.weights = SpellingWeights(s.ctc_search, s.length, s.coverage)
        self.units, self.boundary = s.units, self.writing.vocabulary.boundary
        self.normalization = None if s.units == "phones" else s.normalization
        self.sample_rate, more = encoder.sample_rate, (2**s.halvings - 1) * hop
        self.receptive_field, self.first_center = encoder.receptive_field + more, encoder.first_center + more // 2
        self._kept = {training: FrozenFeatures((self.layer,)) for training in (True, False)}

    @classmethod
    def completed(cls, settings: AttentionSettings, texts: Iterable[str]) -> AttentionSettings:
        """Take the vocabulary from the transcripts, if the recipe states none."""
        if settings.symbols:
            return settings
        return replace(settings, symbols=Orthography.symbols_of(settings.units, settings.normalization, settings.outside, texts))

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002 - as PyTorch has it
        """Begin to train, or end; an encoder that is never trained stays in `eval()`."""
        super().train(mode)
        if self._frozen and isinstance(self.encoder, nn.Module):
            self.encoder.eval()
        return self

    def forward(self, batch: Batch, step: int, phase: str = "train") -> Losses:
        """Cross-entropy of each symbol and of the end, given those before, and the loss of CTC: means over symbols."""
        given = self.prepare(batch)
        encoded, scores, attention = self.compute(self._features(batch), given)
        counted = given.targets != _NOT_COUNTED
        smoothing = self.settings.smoothing if self.training else 0.0
        loss = F.cross_entropy(
            scores.flatten(0, 1).float(), given.targets.flatten(), reduction="sum", ignore_index=_NOT_COUNTED, label_smoothing=smoothing
        )
        terms = {"attention": Term(loss, counted.sum(), 1 - self.settings.ctc)}
        if self.head is not None:
            emitted = self.head(encoded).float().log_softmax(-1).transpose(0, 1)
            ctc = F.ctc_loss(emitted, given.symbols, given.frames, given.lengths, reduction="sum", zero_infinity=True)
            terms["ctc"] = Term(ctc, given.learnt, self.settings.ctc)
        right = ((scores.argmax(-1) == given.targets) & counted).sum() / counted.sum()
        return Losses(terms, {"accuracy": right.detach(), "rising": _rising(attention, counted).detach()})

    def counts(self, batch: Batch, step: int, phase: str = "train") -> Mapping[str, Tensor | float]:
        """Count the symbols with their ends, and those that CTC learns from: a scalar each."""
        ids, frames = [self.spell(text) for text in batch.text or ()], self.frame_count(batch.audio.lengths, "encoded")
        counts: dict[str, Tensor | float] = {"attention": sum(map(len, ids)) + len(ids)}
        return counts | ({"ctc": _learnt(ids, frames)} if self.head is not None else {})

    @on_host
    def prepare(self, batch: Batch) -> SpelledBatch:
        """Spell the transcripts, and draw what is masked, and where the model's own symbols are given.

        Raises:
            UserError: there are no transcripts, or one has a symbol that the vocabulary lacks.
        """
        if batch.text is None:
            msg = "this batch has no transcripts, which the speller learns from: --set data.sampler=transcripts"
            raise UserError(msg)
        waveforms, lengths = batch.audio
        device, s = waveforms.device, self.settings
        ids = [self.spell(text) for text in batch.text]
        longest, frames = max(map(len, ids)), self.frame_count(lengths, self.layer_names[0])
        targets = torch.tensor([[*row, END] + [_NOT_COUNTED] * (longest - len(row)) for row in ids])
        drawn = hidden = None
        counts = self.encoder.frame_count(lengths, self.layer)
        if self.training and s.sampling:
            drawn = sent(_drawn(batch.drawn_by, longest + 1, s.sampling), device)
        if self.training and s.masks != "none":
            times, bands = draw_spec_augment(SPEC_AUGMENT[s.masks], counts.tolist(), self.channels, batch.drawn_by)
            hidden = sent(times[..., None] | bands[:, None], device)
        return SpelledBatch(
            sent(_given(ids), device),
            sent(targets, device),
            drawn,
            hidden,
            sent(counts, device),
            sent(torch.tensor([symbol for row in ids for symbol in row]), device),
            torch.tensor([len(row) for row in ids]),
            frames,
            _learnt(ids, frames),
        )

    def compute(self, features: Tensor, given: SpelledBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Listen to the encoder's features (B, T, C), and spell: frames (B, T, D), scores (B, U + 1, V), attention (B, U + 1, T)."""
        encoded = self._listened(features, given.counts, given.hidden)
        spelling = self.decoder.attend(encoded, self._halved(given.counts))
        return (encoded, *self.decoder.spell(spelling, given.given, given.drawn))

    def features(self, waveforms: Tensor, lengths: Tensor, layers: Sequence[str] | None = None) -> Frames:
        """Listen to waveforms (B, S), of which `lengths` (B,) samples are real: `encoded` (B, T, D)."""
        self.chosen(layers)
        (name,) = self.layer_names
        counts = sent(self.encoder.frame_count(lengths, self.layer), waveforms.device)
        encoded = self._listened(self.encoder.features(waveforms, lengths, (self.layer,)).values[self.layer], counts, None)
        rate = self.sample_rate / (2**self.settings.halvings * self.encoder.hop(self.layer))
        return Frames({name: encoded}, {name: self.frame_count(lengths, name)}, {name: rate})

    def speller(self, encoded: Encoded) -> Spelling:
        """Attend to encoded audio (B, T, D)."""
        return self.decoder.attend(encoded.frames, sent(encoded.lengths, encoded.frames.device))

    def ctc(self, encoded: Encoded) -> Emissions | None:
        """Score the symbols of every frame of encoded audio by CTC: (B, T, V); None, where there is none."""
        return None if self.head is None else Emissions(self.head(encoded.frames).float().log_softmax(-1), encoded.lengths)

    def attention(self, encoded: Encoded, texts: Sequence[str]) -> list[Tensor]:
        """Return where each symbol of known texts, and the end, attends to in encoded audio (B, T, D): (U + 1, T) of each, without padding.

        Raises:
            UserError: a text has a symbol that the vocabulary lacks.
        """
        ids = [self.spell(text) for text in texts]
        with torch.no_grad():
            _, found = self.decoder.spell(self.speller(encoded), sent(_given(ids), encoded.frames.device))
        return [one[: len(row) + 1, :count] for one, row, count in zip(found, ids, encoded.lengths.tolist(), strict=True)]

    def frame_count(self, lengths: Tensor, layer: str) -> Tensor:
        """Frames that clips of so many samples give: (B,) -> (B,)."""
        return self._halved(self.encoder.frame_count(lengths, self.layer))

    def frames_needed(self, text: str) -> int:
        """Count the frames that a transcript takes at least: one, to attend to, and those of CTC."""
        return max(1, required_frames(self.spell(text)) if self.head is not None else 0)

    def rate(self, group: str, step: int) -> float:
        """Return the share of the learning rate that the encoder has."""
        return self.settings.encoder_rate if group == "encoder." else 1.0

    def after_step(self, step: int) -> dict[str, float]:
        """Let an encoder that is trained move what moves with its updates."""
        if not self._frozen and isinstance(self.encoder, Trainable):
            self.encoder.after_step(step)
        return {}

    def _features(self, batch: Batch) -> Tensor:
        """Encode a batch: (B, T, C)."""
        waveforms, lengths = batch.audio
        if self._frozen and batch.targets is None:  # else the audio is another in every update
            return self._kept[self.training](self.encoder, batch.ids, waveforms, lengths)[self.layer]
        return self.encoder.features(waveforms, lengths, (self.layer,)).values[self.layer]

    def _listened(self, features: Tensor, counts: Tensor, hidden: Tensor | None) -> Tensor:
        """Normalize and mask the encoder's features (B, T, C), of which `counts` (B,) are real, and listen to them: (B, T, D)."""
        if self.settings.cmvn:
            features = cmvn(features, counts)
        return self.listener(features if hidden is None else features.masked_fill(hidden, 0.0), counts)

    def _halved(self, counts: Tensor) -> Tensor:
        return counts // 2**self.settings.halvings


def _given(ids: Sequence[Sequence[int]]) -> Tensor:
    """Pad what the speller is given: (B, U + 1), 0 and the symbols."""
    longest = max(map(len, ids))
    return torch.tensor([[END, *row] + [END] * (longest - len(row)) for row in ids])


def _learnt(ids: Sequence[Sequence[int]], frames: Tensor) -> int:
    """Count the symbols of the texts that CTC has frames enough for."""
    return sum(len(row) for row, count in zip(ids, frames.tolist(), strict=True) if required_frames(row) <= count)


def _drawn(keys: Tensor, places: int, share: float) -> Tensor:
    """Draw for each utterance and place whether the model's own symbol is given (1 or 0), and from 0 to 1 which: (B, U + 1, 2)."""
    rows = [torch.from_numpy(draws.stream("scheduled sampling", key).random((places, 2))) for key in keys.tolist()]
    drawn = torch.stack(rows).float()
    drawn[..., 0] = (drawn[..., 0] < share).float()
    return drawn


def _rising(attention: Tensor, counted: Tensor) -> Tensor:
    """Return the share of symbols whose attention (B, U + 1, T) is centred where that of the symbol before is, or later: ()."""
    centers = attention @ torch.arange(attention.shape[2], device=attention.device, dtype=attention.dtype)
    later = (centers.diff(dim=1) >= 0) & counted[:, 1:]
    return later.sum() / counted[:, 1:].sum().clamp(min=1)
