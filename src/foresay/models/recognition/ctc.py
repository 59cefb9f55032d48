"""CTC: an encoder with a linear layer, trained to emit the symbols of a transcript in order, one or none in each frame.

Graves et al., "Connectionist Temporal Classification" (ICML 2006); fine-tuning as in Baevski et al., "wav2vec 2.0" (arXiv:2006.11477),
section 3.4 and appendix B.

    waveform (B, S) --> encoder --> layer (B, T, D), or a learned sum of layers --> [n frames side by side] --> [LSTM] --> linear --> log p
                           |                                                                                                    (B, T, V)
       spans of frames become the mask vector, spans of channels 0            loss = - log sum over all alignments of p(symbols) <---+
                                                                              the blank is symbol 0

The paper needs no more than the linear layer. A small encoder that does not look ahead, as CPC's, is helped by a bidirectional LSTM in
between; on features made by hand it is the recognizer. For the first `freeze_updates` updates the encoder is not trained: what is still
untrained would spoil it. One that is never trained (`freeze = "encoder"`) encodes each utterance once, without dropout, and what is masked
are its features.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foresay.contracts import Batch, EmittingRecognizer, FeatureExtractor, Frames, Losses, MaskableExtractor, Masks, Term, real_frames, sent
from foresay.contracts.models import Trainable, on_host
from foresay.decoding.emissions import required_frames
from foresay.errors import UserError
from foresay.layers.bidirectional_lstm import BidirectionalLSTM
from foresay.layers.cmvn import cmvn
from foresay.layers.dropout import Dropout
from foresay.models.recognition._encoders import FrozenFeatures, begin_on
from foresay.models.recognition._masks import SPEC_AUGMENT, covered, draw_spans, draw_spec_augment, leveled
from foresay.models.recognition._stream import LayerStream, StreamedLayer, refuse_looking_ahead
from foresay.settings import require_not_negative, require_positive, require_shares
from foresay.text.normalization import Normalizer, Outside
from foresay.text.vocabulary import Kind, Orthography, Vocabulary

LAST, SUM = "last", "sum"


@dataclass(frozen=True)
class CTCSettings:
    """What is recognized and how it is learnt; masks and freezing of wav2vec 2.0's 10 hours (Table 6)."""

    symbols: tuple[str, ...] = ()
    """V: the vocabulary, the blank first. `foresay finetune` reads it from the transcripts of the corpus."""
    units: Kind = "letters"
    """What the symbols are."""
    normalization: str = "plain"
    """The profile by which a text is normalized before it is spelled (`text/normalization.py`); of phones, none is."""
    outside: Outside = "refuse"
    """What becomes of digits, signs and letters that the profile has not: `refuse`, `drop`, or `map` (accents are left out)."""
    layer: str = LAST
    """Of the encoder: its name, `last`, or `sum`: all of them, by learned weights that sum to 1 (SUPERB)."""
    cmvn: bool = False
    """Whether each feature shall have mean 0 and variance 1 over every utterance; a long recording is encoded, and normalized, in parts."""
    stack: int = 1
    """Frames that the linear layer is given side by side: 2 halves the rate of an encoder of 100 Hz."""
    lstm: int = 0
    """H: units of each direction of a bidirectional LSTM before the linear layer; 0: there is none."""
    lstm_layers: int = 1
    masks: Literal["spans", "LB", "LD", "SM", "SS", "adaptive"] = "spans"
    """What is masked in training: spans of frames and channels as stated below, or a policy of SpecAugment (`_masks.py`). Where: on what
    the blocks of an encoder are given that was pre-trained with masks, or on its spectrogram; on the layer of any other."""
    mask_probability: float = 0.065
    """Of a frame to begin a masked span of `mask_length`."""
    mask_length: int = 10
    channel_probability: float = 0.004
    """Of a channel to begin a masked span of `channel_length`."""
    channel_length: int = 64
    dropout: float = 0.0
    """On what the LSTM and the linear layer are given."""
    layer_drop: float = 0.05
    """Of wav2vec 2.0, HuBERT and WavLM in fine-tuning: probability that a block is left out of an update."""
    activation_dropout: float = 0.1
    """Of these, on the inner activations of their blocks."""
    encoder_dropout: float = 0.0
    """Of these, everywhere else. Other encoders keep the dropout that they were trained with."""
    freeze: Literal["nothing", "convolutions", "encoder"] = "convolutions"
    """What of the encoder is never trained; `convolutions`: what reads the waveform."""
    freeze_updates: int = 10_000
    """Updates in the beginning that train no part of the encoder."""
    encoder_rate: float = 1.0
    """The encoder's share of the learning rate."""

    def __post_init__(self) -> None:
        require_not_negative(self)
        require_positive(self, "stack", "lstm_layers", "mask_length", "channel_length")
        require_shares(self, "mask_probability", "channel_probability")
        require_shares(self, "dropout", "layer_drop", "activation_dropout", "encoder_dropout")
        Normalizer(self.normalization, self.outside)  # or there is no such profile


class MaskedClips(NamedTuple):
    """The audio of a batch, and what was drawn for it, where it is computed."""

    waveforms: Tensor
    """(B, S), S the longest."""
    samples: Tensor
    """(B,): how many are real."""
    frames: Tensor
    """(B,): T of each."""
    masks: Masks | None
    """Of what the encoder is given or, where it masks nothing itself, of its layer; None: nothing is masked."""
    kept: Tensor | None
    """(L,) bool on the CPU: the blocks of the encoder that are run; None: all."""


class Prepared(NamedTuple):
    """A batch, spelled and masked."""

    clips: MaskedClips
    targets: Tensor
    """(sum of U,) int64: the symbols of all utterances, one after the other, where the waveforms are."""
    target_lengths: Tensor
    """(B,) int64 on the CPU: U of each."""
    frames: Tensor
    """(B,) int64 on the CPU: T of each."""
    labels: int
    """Symbols of the utterances that have frames enough for them."""
    infeasible: int
    """Utterances that have not."""
    entropy: float
    """Of the symbols, in nats each: what it costs to know how frequent they are and no more."""


class CTC(EmittingRecognizer, Trainable):
    """Any encoder, and a linear layer."""

    needs = ("audio", "text")
    rate_groups = ("encoder.",)

    def __init__(self, settings: CTCSettings, encoder: FeatureExtractor) -> None:
        """`encoder`: what makes frames of audio; a run, a checkpoint, a baseline, or one that is built untrained.

        Raises:
            UserError: the encoder has no such layer, or the layers to be summed differ in rate.
        """
        super().__init__()
        begin_on(encoder, settings.symbols)
        s = self.settings = settings
        self.encoder, self.symbols = encoder, s.symbols
        if isinstance(encoder, nn.Module):
            for parameter in {"nothing": (), "convolutions": encoder.front_end(), "encoder": encoder.parameters()}[s.freeze]:
                parameter.requires_grad = False
        self.writing = Orthography(Vocabulary(s.symbols, s.units), s.normalization, s.outside)
        self.layers = encoder.layer_names if s.layer == SUM else encoder.chosen((encoder.layer_names[-1] if s.layer == LAST else s.layer,))
        if len({(encoder.hop(layer), encoder.size(layer)) for layer in self.layers}) > 1:
            msg = f"the encoder's layers {', '.join(self.layers)} differ in rate or size and cannot be summed: name one (model.layer)"
            raise UserError(msg)
        self.layer_weights = nn.Parameter(torch.zeros(len(self.layers))) if s.layer == SUM else None
        self.dropout = Dropout(s.dropout)
        self.channels = encoder.size(self.layers[0])
        learns = self._maskable is None and s.masks == "spans" and s.mask_probability + s.channel_probability > 0
        self.mask_vector = nn.Parameter(torch.zeros(self.channels)) if learns else None
        """(D,): what masked frames of an encoder become that has no such vector of its own."""
        size = s.stack * self.channels
        self.lstm = BidirectionalLSTM(size, s.lstm, s.lstm_layers, s.dropout) if s.lstm else None
        self.head = nn.Linear(2 * s.lstm if s.lstm else size, len(s.symbols))
        if isinstance(encoder, MaskableExtractor):
            encoder.set_dropout(dropout=s.encoder_dropout, activation_dropout=s.activation_dropout, layer_drop=s.layer_drop)
        self.units, self.boundary = s.units, self.writing.vocabulary.boundary
        self.normalization = None if s.units == "phones" else s.normalization
        self.sample_rate, self.receptive_field = encoder.sample_rate, encoder.receptive_field + (s.stack - 1) * encoder.hop(self.layers[0])
        self.first_center = encoder.first_center + (s.stack - 1) * encoder.hop(self.layers[0]) // 2
        self._kept = {training: FrozenFeatures(self.layers) for training in (True, False)}

    @classmethod
    def completed(cls, settings: CTCSettings, texts: Iterable[str]) -> CTCSettings:
        """Take the vocabulary from the transcripts, if the recipe states none."""
        if settings.symbols:
            return settings
        return replace(settings, symbols=Orthography.symbols_of(settings.units, settings.normalization, settings.outside, texts))

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002 - as PyTorch has it
        """Begin to train, or end; an encoder that is never trained stays in `eval()`."""
        super().train(mode)
        if self.settings.freeze == "encoder" and isinstance(self.encoder, nn.Module):
            self.encoder.eval()
        return self

    def forward(self, batch: Batch, step: int, phase: str = "train") -> Losses:
        """Loss of a batch, a mean over the symbols of its transcripts."""
        given, frozen = self.prepare(batch, step), self._freezes(step)
        self._hold_norms(frozen=frozen)
        encoded = None if self._maskable else self._encoded(batch, frozen=frozen)
        logits = self.compute(given.clips, encoded, frozen)
        log_probabilities = logits.float().log_softmax(-1)
        loss = F.ctc_loss(
            log_probabilities.transpose(0, 1), given.targets, given.frames, given.target_lengths, reduction="sum", zero_infinity=True
        )
        real = torch.arange(logits.shape[1], device=logits.device) < given.clips.frames[:, None]
        blank = ((logits.argmax(-1) == 0) & real).sum() / real.sum()
        scalars = {"blank": blank.detach(), "infeasible": torch.tensor(given.infeasible / len(batch.ids))}
        scalars["symbol_entropy"] = torch.tensor(given.entropy)
        if self.training and step < self.settings.freeze_updates:
            loss = loss + self._untouched()
        return Losses({"ctc": Term(loss, given.labels)}, scalars)

    def counts(self, batch: Batch, step: int, phase: str = "train") -> Mapping[str, Tensor | float]:
        """Count the symbols: a scalar."""
        return {"ctc": self.prepare(batch, step).labels}

    @on_host
    def prepare(self, batch: Batch, step: int) -> Prepared:
        """Spell the transcripts, and draw what is masked and which blocks are run.

        Raises:
            UserError: there are no transcripts, or one has a symbol that the vocabulary lacks.
        """
        if batch.text is None:
            msg = "this batch has no transcripts, which CTC learns from: --set data.sampler=transcripts"
            raise UserError(msg)
        waveforms, lengths = batch.audio
        device = waveforms.device
        targets = [self.spell(text) for text in batch.text]
        frames = self.frame_count(lengths, self.layer_names[0])
        feasible = [required_frames(ids) <= count for ids, count in zip(targets, frames.tolist(), strict=True)]
        clips = MaskedClips(
            waveforms[:, : int(lengths.max())],
            sent(lengths, device),
            sent(frames, device),
            self._masks(batch, lengths, device),
            self._maskable.kept_layers((self.seed, step)) if self._maskable else None,
        )
        return Prepared(
            clips,
            sent(torch.tensor([symbol for ids in targets for symbol in ids]), device),
            torch.tensor([len(ids) for ids in targets]),
            frames,
            sum(len(ids) for ids, fits in zip(targets, feasible, strict=True) if fits),
            len(feasible) - sum(feasible),
            _entropy([symbol for ids in targets for symbol in ids]),
        )

    def compute(self, clips: MaskedClips, encoded: Mapping[str, Tensor] | None, frozen: bool) -> Tensor:  # noqa: FBT001 - compiled, it is given its arguments by place
        """Score the symbols of every frame: (B, T, V), not normalized. A frozen encoder gets no gradient; weights of layers do.

        `encoded`: by an encoder that masks nothing itself, (B, T, D) a layer, which is not compiled.
        """
        if encoded is not None:
            summed = self._summed(encoded, clips.frames)
            if clips.masks is not None:
                summed = self._covered(summed, clips)
            return self._scores(self._stacked(summed), clips.frames)
        assert isinstance(self.encoder, MaskableExtractor)  # noqa: S101 - as `forward` found
        assert clips.masks is not None  # noqa: S101 - such an encoder always has them
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
            found = self.encoder.masked_features(clips.waveforms, clips.samples, clips.masks, self.layers, clips.kept)
        return self._scores(self._stacked(self._summed(found, clips.frames)), clips.frames)

    def frames_needed(self, text: str) -> int:
        """Count the frames that a transcript takes at least."""
        return required_frames(self.spell(text))

    def frame_count(self, lengths: Tensor, layer: str) -> Tensor:
        """Frames that clips of so many samples give: (B,) -> (B,). What fills no stack is left out."""
        return self.encoder.frame_count(lengths, self.layers[0]) // self.settings.stack

    def features(self, waveforms: Tensor, lengths: Tensor, layers: Sequence[str] | None = None) -> Frames:
        """Score the symbols of every frame of waveforms (B, S), of which `lengths` (B,) samples are real: log p (B, T, V)."""
        self.chosen(layers)
        (layer,) = self.layer_names
        counts = self.frame_count(lengths, layer)
        real = sent(counts, waveforms.device)
        emitted = self._emitted(self.encoder.features(waveforms, lengths, self.layers).values, real)
        return Frames({layer: emitted}, {layer: counts}, {layer: self._frame_rate})

    def stream(self) -> LayerStream:
        """Start to recognize an utterance chunk by chunk; TypeError, if anything looks ahead."""
        s, (layer,) = self.settings, self.layer_names
        refuse_looking_ahead(lstm=s.lstm > 0, cmvn=s.cmvn)
        return LayerStream(self.encoder.stream(), self._emitted, StreamedLayer(layer, self.layers, s.stack, self._frame_rate))

    def rate(self, group: str, step: int) -> float:
        """Return the encoder's share of the learning rate: none of it while it is frozen."""
        share = 0.0 if self._freezes(step) else self.settings.encoder_rate
        return share if group == "encoder." else 1.0

    def after_step(self, step: int) -> dict[str, float]:
        """Let the encoder move what moves with its updates, as the averages of batch norms that learn."""
        if isinstance(self.encoder, Trainable):
            self.encoder.after_step(step)
        return {}

    def _hold_norms(self, *, frozen: bool) -> None:
        """Let batch norms of what is not trained, by this update or ever, normalize by the averages of the pre-training."""
        for norm in self.modules():
            if isinstance(norm, nn.BatchNorm1d):
                norm.train(self.training and not frozen and norm.weight.requires_grad)

    @property
    def _maskable(self) -> MaskableExtractor | None:
        """The encoder, if it masks what it is given: one that is never trained gives the same features in every update."""
        return self.encoder if isinstance(self.encoder, MaskableExtractor) and self.settings.freeze != "encoder" else None

    def _freezes(self, step: int) -> bool:
        return self.settings.freeze == "encoder" or step < self.settings.freeze_updates

    def _untouched(self) -> Tensor:
        """Give the parameters that are frozen for now a gradient of 0, for which several devices wait: ()."""
        assert isinstance(self.encoder, nn.Module)  # noqa: S101 - every extractor of this package is one
        zeros = [0.0 * parameter.flatten()[:1].sum() for parameter in self.encoder.parameters() if parameter.requires_grad]
        return torch.stack(zeros).sum() if zeros else torch.zeros((), device=self.head.weight.device)

    def _masks(self, batch: Batch, lengths: Tensor, device: torch.device) -> Masks | None:
        """Draw what is masked in training; in evaluation nothing is."""
        s, maskable = self.settings, self._maskable
        size = maskable.masked_size if maskable else self.channels
        counts = (maskable.masked_frames(lengths) if maskable else self.encoder.frame_count(lengths, self.layers[0])).tolist()
        if not self.training:
            nothing = [torch.zeros(len(counts), wide, dtype=torch.bool, device=device) for wide in (max(counts), size)]
            return Masks(nothing[0], nothing[1], real_frames(counts, device)) if maskable else None
        if s.masks in SPEC_AUGMENT:
            frames, channels = draw_spec_augment(SPEC_AUGMENT[s.masks], counts, size, batch.drawn_by)
        else:
            frames = draw_spans(counts, batch.drawn_by, s.mask_probability, s.mask_length, "masked spans")
            channels = draw_spans([size] * len(counts), batch.drawn_by, s.channel_probability, s.channel_length, "masked channels")
        return Masks(sent(frames, device), sent(channels, device), real_frames(counts, device) if maskable else None)

    def _encoded(self, batch: Batch, *, frozen: bool) -> Mapping[str, Tensor]:
        """Encode a batch, nothing masked: (B, T, D) a layer."""
        waveforms, lengths = batch.audio
        if self.settings.freeze == "encoder" and batch.targets is None:  # else the audio is another in every update
            return self._kept[self.training](self.encoder, batch.ids, waveforms, lengths)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
            return self.encoder.features(waveforms, lengths, self.layers).values

    @property
    def _frame_rate(self) -> float:
        """Frames a second."""
        return self.sample_rate / (self.settings.stack * self.encoder.hop(self.layers[0]))

    def _emitted(self, frames: Mapping[str, Tensor], counts: Tensor) -> Tensor:
        """Score the symbols in layers of the encoder (B, T n, D), of which `counts` (B,) stacks of n frames are real: log p (B, T, V)."""
        return self._scores(self._stacked(self._summed(frames, counts)), counts).float().log_softmax(-1)

    def _scores(self, features: Tensor, counts: Tensor) -> Tensor:
        """Score the symbols in features (B, T, D), of which `counts` (B,) frames are real: (B, T, V), not normalized."""
        features = self.dropout(features)
        if self.lstm is not None:
            features = self.dropout(self.lstm(features, counts))
        return self.head(features)

    def _summed(self, frames: Mapping[str, Tensor], counts: Tensor) -> Tensor:
        """Choose the layer, or sum all by their weights, and normalize it: (B, T, D), of which `counts` (B,) stacks of frames are real."""
        if self.layer_weights is None:
            chosen = frames[self.layers[0]]
        else:
            chosen = torch.einsum("l,lbtd->btd", self.layer_weights.softmax(0), torch.stack([frames[layer] for layer in self.layers]))
        return cmvn(chosen, counts * self.settings.stack) if self.settings.cmvn else chosen

    def _covered(self, frames: Tensor, clips: MaskedClips) -> Tensor:
        """Mask frames (B, T, D) of an encoder that masks nothing itself."""
        assert clips.masks is not None  # noqa: S101 - the caller looked
        if self.mask_vector is None:
            return leveled(frames, clips.masks, clips.frames * self.settings.stack)
        return covered(frames, clips.masks, self.mask_vector)

    def _stacked(self, frames: Tensor) -> Tensor:
        """Put frames side by side: (B, T, D) -> (B, T // stack, stack x D)."""
        stack = self.settings.stack
        return frames if stack == 1 else frames[:, : frames.shape[1] // stack * stack].unflatten(1, (-1, stack)).flatten(2)


def _entropy(symbols: Sequence[int]) -> float:
    """Return the entropy of symbols by how often each comes, in nats."""
    shares = torch.bincount(torch.tensor(symbols, dtype=torch.int64)) / max(len(symbols), 1)
    return float(torch.special.entr(shares).sum())
