"""Transducer (RNN-T): an encoder of audio, a prediction network of the symbols so far, and a joint network of both that writes or goes on.

Graves, "Sequence Transduction with Recurrent Neural Networks" (arXiv:1211.3711).

    waveform --> encoder --> layer (B, T, D) --> [n frames side by side] --> [LSTM] --> linear --> (B, T, J) -|
                                                                                                              +--> joint --> log p
    symbols so far --> prediction network --> linear ---------------------------------> (B, U + 1, J) --------|      (B, T, U + 1, V)

In each frame it writes no symbol, or one, or several, each predicted from those before, and goes on to the next frame by a blank, symbol 0.
The loss is - log of the sum over all alignments of p(symbols). Unlike CTC it needs no conditional independence, and unlike attention no
more than the frames so far, if the encoder needs no more.

The joint network takes B T (U + 1) V numbers: a batch is cut into parts that fit in `memory`, each computed anew for its gradient; and of
a large vocabulary it may be computed near the likely alignments alone, B T R V numbers (`objective`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.checkpoint import checkpoint

from foresay.contracts import Batch, Encoded, FeatureExtractor, Frames, Losses, Term, Trainable, TransducingRecognizer, on_host, sent
from foresay.errors import UserError
from foresay.layers.bidirectional_lstm import BidirectionalLSTM
from foresay.layers.cmvn import cmvn
from foresay.layers.dropout import Dropout
from foresay.layers.joint_network import JointNetwork, LSTMPrediction, StatelessPrediction
from foresay.models.recognition._encoders import FrozenFeatures, begin_on
from foresay.models.recognition._stream import LayerStream, StreamedLayer, refuse_looking_ahead
from foresay.objectives.transducer import TransducerObjective
from foresay.settings import find_class, options_of, require_not_negative, require_positive, require_shares
from foresay.text.normalization import Normalizer, Outside
from foresay.text.vocabulary import Kind, Orthography, Vocabulary


@dataclass(frozen=True)
class TransducerSettings:
    """What is recognized, and how; sizes for minutes of speech."""

    symbols: tuple[str, ...] = ()
    """V: the vocabulary, the blank first. `foresay finetune` reads it from the transcripts of the corpus."""
    units: Kind = "letters"
    normalization: str = "plain"
    """The profile by which a text is normalized before it is spelled (`text/normalization.py`); of phones, none is."""
    outside: Outside = "refuse"
    """What becomes of digits, signs and letters that the profile has not: `refuse`, `drop`, or `map` (accents are left out)."""
    layer: str | None = None
    """Of the encoder; None: its last."""
    cmvn: bool = False
    """Whether each feature shall have mean 0 and variance 1 over every utterance."""
    freeze: Literal["nothing", "encoder"] = "encoder"
    """What of the encoder is never trained; if all of it, each utterance is encoded once."""
    encoder_rate: float = 1.0
    """The encoder's share of the learning rate, if it is trained."""
    stack: int = 1
    """Frames of the encoder that make one of the transducer."""
    lstm: int = 0
    """Units of each direction of a bidirectional LSTM after the encoder; 0: there is none."""
    lstm_layers: int = 1
    predictor: Literal["stateless", "lstm"] = "stateless"
    """Prediction network: the last symbols (Ghodsi et al., ICASSP 2020), or an LSTM over all."""
    context: int = 2
    """How many symbols a stateless one knows."""
    prediction: int = 128
    """P: its size."""
    joint: int = 128
    """J: size of the joint network."""
    dropout: float = 0.0
    """On what the LSTM and the joint network are given."""
    fast_emit: float = 0.0
    """The gradient of symbols is 1 + this times as large: they are written earlier (FastEmit, arXiv:2010.11148)."""
    objective: str = "transducer"
    """By the whole lattice, or `pruned-transducer`: for large vocabularies, by the nodes near the likely alignments."""
    objective_options: dict[str, float] = field(default_factory=dict)
    """Of the pruned one: `positions` of the text in each frame; weight and warm-up of the simple joint network that finds them."""
    symbols_a_frame: int = 2
    """The search writes no more. What is not yet trained would write on and on."""
    memory: float = 1.0
    """GB that the joint network may take at once."""

    def __post_init__(self) -> None:
        require_not_negative(self)
        require_positive(self, "stack", "lstm_layers", "context", "prediction", "joint", "symbols_a_frame", "memory")
        require_shares(self, "dropout")
        Normalizer(self.normalization, self.outside)  # or there is no such profile


class PreparedLattices(NamedTuple):
    """A batch, spelled."""

    labels: Tensor
    """(B, U), where the audio is; 0 behind a text."""
    frames: Tensor
    """(B,) on the CPU: T of each."""
    counts: Tensor
    """(B,) on the CPU: U of each."""
    parts: list[slice]
    """Utterances whose joint is computed at once."""


class Transducer(TransducingRecognizer, Trainable):
    """Any encoder, a prediction network and a joint network."""

    needs = ("audio", "text")
    rate_groups = ("encoder.",)
    joint: JointNetwork

    def __init__(self, settings: TransducerSettings, encoder: FeatureExtractor) -> None:
        """`encoder`: what makes frames of audio; a run, a checkpoint, a baseline, or one that is built untrained.

        Raises:
            UserError: there are no symbols, the encoder has no such layer, or is a recognizer.
        """
        super().__init__()
        begin_on(encoder, settings.symbols)
        s, self.settings, self.encoder, self.symbols = settings, settings, encoder, settings.symbols
        self.writing = Orthography(Vocabulary(s.symbols, s.units), s.normalization, s.outside)
        (self.layer,) = encoder.chosen((s.layer or encoder.layer_names[-1],))
        size, hop = s.stack * encoder.size(self.layer), encoder.hop(self.layer)
        self.dropout = Dropout(s.dropout)
        self.lstm = BidirectionalLSTM(size, s.lstm, s.lstm_layers, s.dropout) if s.lstm else None
        self.projection = nn.Linear(2 * s.lstm or size, s.joint)
        symbols = len(s.symbols)
        stateless = s.predictor == "stateless"
        prediction = StatelessPrediction(symbols, s.prediction, s.context) if stateless else LSTMPrediction(symbols, s.prediction)
        self.joint = JointNetwork(prediction, s.prediction, symbols, s.joint, s.dropout)
        objective = find_class("foresay.objectives", s.objective, TransducerObjective)
        options = options_of(objective, s.objective_options, "model.objective_options")
        self.objective: TransducerObjective = objective(s.joint, symbols, **options)
        self.units, self.boundary, self.symbols_a_frame = s.units, self.writing.vocabulary.boundary, s.symbols_a_frame
        self.normalization = None if s.units == "phones" else s.normalization
        self.sample_rate, more = encoder.sample_rate, (s.stack - 1) * hop
        self.receptive_field, self.first_center = encoder.receptive_field + more, encoder.first_center + more // 2
        self._frozen, self._kept = s.freeze == "encoder", {training: FrozenFeatures((self.layer,)) for training in (True, False)}
        if self._frozen and isinstance(encoder, nn.Module):
            encoder.requires_grad_(requires_grad=False)

    @classmethod
    def completed(cls, settings: TransducerSettings, texts: Iterable[str]) -> TransducerSettings:
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
        """Loss of a batch, a mean over the symbols of its transcripts."""
        given = self.prepare(batch)
        encoded, predicted = self._encoded(self._features_of(batch), given.frames), self.joint.predicted(given.labels)
        losses = [self._losses(encoded, predicted, given, part) for part in given.parts]
        symbols, weights = int(given.counts.sum()), self.objective.weights(step)
        terms = {name: Term(torch.cat([part[name] for part in losses]).sum(), symbols, weight) for name, weight in weights.items()}
        gigabytes = max(self.joint_bytes(given.frames[part], given.counts[part]) for part in given.parts) / 1e9
        scalars = {name: term.sum.detach() / max(symbols, 1) for name, term in terms.items() if len(terms) > 1}
        return Losses(terms, {"joint_gb": torch.tensor(gigabytes), **scalars})

    def counts(self, batch: Batch, step: int, phase: str = "train") -> Mapping[str, Tensor | float]:
        """Count the symbols: a scalar."""
        return dict.fromkeys(self.objective.weights(step), sum(len(self.spell(text)) for text in batch.text or ()))

    @on_host
    def prepare(self, batch: Batch) -> PreparedLattices:
        """Spell the transcripts, and cut the batch into parts that fit in memory.

        Raises:
            UserError: there are no transcripts, one has a symbol that the vocabulary lacks, or an utterance does not fit in memory.
        """
        if batch.text is None:
            msg = "this batch has no transcripts, which a transducer learns from: --set data.sampler=transcripts"
            raise UserError(msg)
        waveforms, lengths = batch.audio
        ids = [torch.tensor(self.spell(text), dtype=torch.int64) for text in batch.text]
        frames, counts = self.frame_count(lengths, self.layer_names[0]), torch.tensor([len(row) for row in ids])
        return PreparedLattices(
            sent(pad_sequence(ids, batch_first=True), waveforms.device), frames, counts, list(self._parts(frames, counts))
        )

    def joint_bytes(self, frames: Tensor, counts: Tensor) -> int:
        """Bytes that the joint network of a batch takes, gradient included: utterances of so many frames and symbols, (B,) each."""
        return 4 * len(frames) * self.objective.numbers(int(frames.max()), int(counts.max()))

    def features(self, waveforms: Tensor, lengths: Tensor, layers: Sequence[str] | None = None) -> Frames:
        """Encode waveforms (B, S), of which `lengths` (B,) samples are real: `encoded` (B, T, J)."""
        self.chosen(layers)
        (name,) = self.layer_names
        counts = self.frame_count(lengths, name)
        encoded = self._encoded(self._features(waveforms, lengths), counts)
        return Frames({name: encoded}, {name: counts}, {name: self._frame_rate})

    def stream(self) -> LayerStream:
        """Start to encode an utterance chunk by chunk; TypeError, if anything looks ahead."""
        s, (name,) = self.settings, self.layer_names
        refuse_looking_ahead(lstm=s.lstm > 0, cmvn=s.cmvn)
        layer = StreamedLayer(name, (self.layer,), s.stack, self._frame_rate)
        return LayerStream(self.encoder.stream(), lambda frames, counts: self._encoded(frames[self.layer], counts), layer)

    def logits(self, encoded: Encoded, texts: Sequence[str]) -> tuple[Tensor, Tensor, Tensor]:
        """Score the lattices of texts in encoded audio (B, T, J): logits (B, T, U + 1, V), labels (B, U), how many each text has (B,)."""
        ids = [torch.tensor(self.spell(text), dtype=torch.int64) for text in texts]
        labels = sent(pad_sequence(ids, batch_first=True), encoded.frames.device)
        return self.joint(encoded.frames, self.joint.predicted(labels)), labels, torch.tensor([len(row) for row in ids])

    def frame_count(self, lengths: Tensor, layer: str) -> Tensor:
        """Frames that clips of so many samples give: (B,) -> (B,). What fills no stack is left out."""
        return self.encoder.frame_count(lengths, self.layer) // self.settings.stack

    def frames_needed(self, text: str) -> int:
        """Count the frames that a transcript takes at least: one may write any, unless it is pruned."""
        return self.objective.frames_needed(len(self.spell(text)))

    def check_memory(self, text: str, frames: int) -> None:
        """Refuse an utterance whose joint network does not fit in memory.

        Raises:
            UserError: it does not.
        """
        list(self._parts(torch.tensor([frames]), torch.tensor([len(self.spell(text))])))

    def rate(self, group: str, step: int) -> float:
        """Return the share of the learning rate that the encoder has."""
        return self.settings.encoder_rate if group == "encoder." else 1.0

    def after_step(self, step: int) -> dict[str, float]:
        """Let an encoder that is trained move what moves with its updates."""
        if not self._frozen and isinstance(self.encoder, Trainable):
            self.encoder.after_step(step)
        return {}

    @property
    def _frame_rate(self) -> float:
        """Frames a second."""
        return self.sample_rate / (self.settings.stack * self.encoder.hop(self.layer))

    def _features_of(self, batch: Batch) -> Tensor:
        """Encode a batch, or remember it: (B, T, D)."""
        waveforms, lengths = batch.audio
        if self._frozen and batch.targets is None:  # else the audio is another in every update
            return self._kept[self.training](self.encoder, batch.ids, waveforms, lengths)[self.layer]
        return self._features(waveforms, lengths)

    def _features(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        return self.encoder.features(waveforms, lengths, (self.layer,)).values[self.layer]

    def _encoded(self, features: Tensor, frames: Tensor) -> Tensor:
        """Make of features (B, T n, D) what the joint network takes: (B, T, J), of which `frames` (B,) are real."""
        real, stack = sent(frames, features.device), self.settings.stack
        if self.settings.cmvn:
            features = cmvn(features, real * stack)
        features = features[:, : features.shape[1] // stack * stack].unflatten(1, (-1, stack)).flatten(2)
        features = self.dropout(features)
        if self.lstm is not None:
            features = self.dropout(self.lstm(features, real))
        encoded: Tensor = self.projection(features)
        return encoded

    def _losses(self, encoded: Tensor, predicted: Tensor, given: PreparedLattices, part: slice) -> dict[str, Tensor]:
        """Return the losses of a part of the batch, encoded (B, T, J) and predicted (B, U + 1, J), without its padding: each (b,)."""
        frames, counts = given.frames[part], given.counts[part]
        longest, most = int(frames.max()), int(counts.max())
        labels, emit = given.labels[part, :most], self.settings.fast_emit
        all_given = self.joint, encoded[part, :longest], predicted[part, : most + 1], labels, frames, counts, emit
        if len(given.parts) == 1:
            losses: dict[str, Tensor] = self.objective(*all_given)
        else:
            losses = checkpoint(self.objective, *all_given, use_reentrant=False)
        return losses

    def _parts(self, frames: Tensor, counts: Tensor) -> Iterator[slice]:
        """Cut a batch into parts that fit in memory: utterances of so many frames and symbols, (B,) each."""
        most, start = self.settings.memory * 1e9, 0
        for end in range(1, len(frames) + 1):
            if self.joint_bytes(frames[end - 1 : end], counts[end - 1 : end]) > most:
                raise UserError(self._too_large(int(frames[end - 1]), int(counts[end - 1])))
            if self.joint_bytes(frames[start:end], counts[start:end]) > most:
                yield slice(start, end - 1)
                start = end - 1
        yield slice(start, len(frames))

    def _too_large(self, frames: int, symbols: int) -> str:
        needed = self.joint_bytes(torch.tensor([frames]), torch.tensor([symbols])) / 1e9
        return (
            f"an utterance of {frames:,} frames and {symbols:,} symbols takes {needed:.2f} GB in the joint network, and model.memory is "
            f"{self.settings.memory:g} GB. Allow more, if there is more; or score only what is near the likely alignments "
            "(model.objective=pruned-transducer), make fewer frames (model.stack) or a smaller network (model.joint), or cut or leave "
            "out long recordings (data.longest)"
        )
