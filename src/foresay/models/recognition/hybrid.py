"""Hybrid of a neural network and hidden Markov models (DNN-HMM): any encoder, trained to say in which state each frame is.

Bourlard and Morgan, "Connectionist speech recognition: a hybrid approach" (Kluwer, 1994); Hinton et al., "Deep neural networks for acoustic
modeling in speech recognition" (IEEE Signal Processing Magazine 29, 2012).

    waveform (B, S) --> encoder --> frames (B, T, D) --> [LSTM] --> linear --> log p(state | frame) (B, T, S)
           |                                                                          |  cross-entropy
           +---------> HMM, with the transcript --> best path --> state of each frame +
                                                        |
                                                        +--> log p(state), counted

It is decoded as the HMM is, with the same states, lexicon and search: log p(frame | state) is log p(state | frame) - log p(state), but for
log p(frame), which is the same for all states. The encoder is not trained; each utterance is encoded, and aligned, once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from foresay.contracts import Batch, Encoded, FeatureExtractor, Frames, Losses, StateRecognizer, Term, Topology, Trainable, on_host, sent
from foresay.decoding.state_alignment import StateChain, align_states
from foresay.errors import UserError
from foresay.layers.bidirectional_lstm import BidirectionalLSTM
from foresay.layers.cmvn import cmvn
from foresay.layers.dropout import Dropout
from foresay.models.recognition._encoders import FrozenFeatures
from foresay.settings import require_not_negative, require_positive, require_shares

NO_STATE = -1


@dataclass(frozen=True)
class HybridSettings:
    """What is learnt on top of an encoder. What is recognized is the HMM's matter."""

    layer: str | None = None
    """Of the encoder; None: its last."""
    cmvn: bool = True
    """Whether each feature shall have mean 0 and variance 1 over every utterance."""
    lstm: int = 128
    """H: units of each direction of a bidirectional LSTM before the linear layer; 0: there is none."""
    lstm_layers: int = 1
    dropout: float = 0.2
    """On what the LSTM and the linear layer are given."""
    scale: float = 0.5
    """What log-likelihoods are multiplied by in a search: frames that are near each other say much the same."""

    def __post_init__(self) -> None:
        require_not_negative(self)
        require_positive(self, "lstm_layers", "scale")
        require_shares(self, "dropout")


class Hybrid(StateRecognizer, Trainable):
    """A frozen encoder, a small network, and the states of an HMM."""

    needs = ("audio", "text")
    counted: Tensor
    """(S,) frames in each state so far."""
    new: Tensor
    """(S,) those of an update."""

    def __init__(self, settings: HybridSettings, encoder: FeatureExtractor, hmm: StateRecognizer) -> None:
        """`encoder`: what makes frames of audio. `hmm`: whose states are learnt, and who aligns the transcripts.

        Raises:
            UserError: the encoder has no such layer, or makes frames of another rate than the HMM's.
        """
        super().__init__()
        s, self.settings, self.encoder, self.hmm = settings, settings, encoder, hmm
        (self.layer,) = encoder.chosen((s.layer or encoder.layer_names[-1],))
        _refuse_another_rate(encoder, self.layer, hmm)
        for part in self._frozen():
            part.requires_grad_(requires_grad=False).eval()
        self.symbols, self.units, self.writing = hmm.symbols, hmm.units, hmm.writing
        self.normalization, self.pronunciations, self.scale = hmm.normalization, hmm.pronunciations, s.scale
        self.sample_rate, self.receptive_field, self.first_center = encoder.sample_rate, encoder.receptive_field, encoder.first_center
        size, states = encoder.size(self.layer), len(hmm.topology.stay)
        self.dropout = Dropout(s.dropout)
        self.lstm = BidirectionalLSTM(size, s.lstm, s.lstm_layers, s.dropout) if s.lstm else None
        self.head = nn.Linear(2 * s.lstm or size, states)
        self.register_buffer("counted", torch.zeros(states))
        self.register_buffer("new", torch.zeros(states), persistent=False)
        self._kept, self._aligned = FrozenFeatures((self.layer,)), dict[tuple[str, int], Tensor]()

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002 - as PyTorch has it
        """Begin to train, or end; the parts stay in `eval()`."""
        super().train(mode)
        for part in self._frozen():
            part.eval()
        return self

    @property
    def topology(self) -> Topology:
        """The HMM's."""
        return self.hmm.topology

    def forward(self, batch: Batch, step: int, phase: str = "train") -> Losses:
        """Cross-entropy of a batch, a mean over its frames."""
        states, counts = self.prepare(batch), self.frame_count(batch.audio.lengths, self.layer_names[0])
        if self.training:
            self.new.index_add_(0, states.flatten().clamp(min=0), (states.flatten() != NO_STATE).to(self.new))
        features = self._encoded(batch)
        scores = self._scores(features, sent(counts, features.device))
        loss = F.cross_entropy(scores.flatten(0, 1), states.flatten(), ignore_index=NO_STATE, reduction="sum")
        right = (scores.argmax(-1) == states).sum()
        return Losses({"states": Term(loss, int(counts.sum()))}, {"accuracy": right / counts.sum()}, {"accuracy": "states"})

    @on_host
    @torch.no_grad()
    def prepare(self, batch: Batch) -> Tensor:
        """Say in which state of its transcript each frame is: (B, T), beyond an utterance's length in none.

        Raises:
            UserError: there are no transcripts, or one has a word that the HMM cannot pronounce.
        """
        if batch.text is None:
            msg = "this batch has no transcripts, which a hybrid learns from: --set data.sampler=transcripts"
            raise UserError(msg)
        waveforms, lengths = batch.audio
        recorded = waveforms if batch.targets is None else batch.targets
        found = []
        for name, waveform, length, text in zip(batch.ids, recorded, lengths.tolist(), batch.text, strict=True):
            if (name, length) not in self._aligned:
                self._aligned[name, length] = self._align(waveform[:length], text)
            found.append(self._aligned[name, length])
        return pad_sequence(found, batch_first=True, padding_value=NO_STATE)

    def features(self, waveforms: Tensor, lengths: Tensor, layers: Sequence[str] | None = None) -> Frames:
        """Score the states of every frame of waveforms (B, S), of which `lengths` (B,) are real: log p of the frame (B, T, S)."""
        self.chosen(layers)
        (name,) = self.layer_names
        counts = self.frame_count(lengths, name)
        features = self.encoder.features(waveforms, lengths, (self.layer,)).values[self.layer]
        posteriors = self._scores(features, sent(counts, features.device)).float().log_softmax(-1)
        prior = ((self.counted + 1) / (self.counted + 1).sum()).log()
        return Frames({name: posteriors - prior}, {name: counts}, {name: self.sample_rate / self.encoder.hop(self.layer)})

    def frame_count(self, lengths: Tensor, layer: str) -> Tensor:
        """Frames that clips of so many samples give: (B,) -> (B,)."""
        return self.encoder.frame_count(lengths, self.layer)

    def frames_needed(self, text: str) -> int:
        """Count the frames that a transcript takes at least: one a state."""
        return self.hmm.frames_needed(text)

    def after_step(self, step: int) -> dict[str, float]:
        """Count the states of an update, on all devices."""
        if dist.is_initialized():
            dist.all_reduce(self.new)
        self.counted += self.new
        self.new.zero_()
        return {}

    def _frozen(self) -> Iterator[nn.Module]:
        """Yield the parts that have weights, which are never trained."""
        return (part for part in (self.encoder, self.hmm) if isinstance(part, nn.Module))

    @torch.no_grad()
    def _encoded(self, batch: Batch) -> Tensor:
        """Encode a batch, or remember it: (B, T, D)."""
        waveforms, lengths = batch.audio
        if batch.targets is None:  # else the audio is another in every update
            return self._kept(self.encoder, batch.ids, waveforms, lengths)[self.layer]
        return self.encoder.features(waveforms, lengths, (self.layer,)).values[self.layer]

    def _scores(self, features: Tensor, counts: Tensor) -> Tensor:
        """Score the states in features (B, T, D), of which `counts` (B,) frames are real: (B, T, S), not normalized."""
        features = self.dropout(cmvn(features, counts) if self.settings.cmvn else features)
        if self.lstm is not None:
            features = self.dropout(self.lstm(features, counts))
        return self.head(features)

    def _align(self, waveform: Tensor, text: str) -> Tensor:
        """Align an utterance (S,), and take for each frame of the encoder the HMM's frame of the same time: states (T,)."""
        length, (name,) = torch.tensor([len(waveform)]), self.hmm.layer_names
        found = self.hmm.features(waveform[None], length)
        chain = StateChain.of([self.hmm.pronounce(word) for word in self.normalized(text).split()], self.topology)
        (path,) = align_states(Encoded(found.values[name], found.lengths[name].cpu()), [chain], self.topology).positions
        states = torch.tensor([step.state for step in chain.steps], device=path.device)[path]
        times = torch.arange(int(self.frame_count(length, name)), device=path.device)
        offset = round((self.first_center - self.hmm.first_center) / self.encoder.hop(self.layer))
        return states[(times + offset).clamp(0, len(states) - 1)]


def _refuse_another_rate(encoder: FeatureExtractor, layer: str, hmm: StateRecognizer) -> None:
    own, other = ((one.sample_rate, one.hop(name)) for one, name in ((encoder, layer), (hmm, hmm.layer_names[0])))
    if own != other:
        ours, theirs = (f"{rate / hop:g} frames a second of {rate} Hz" for rate, hop in (own, other))
        msg = (
            f"the encoder makes {ours}, and the HMM {theirs}, by which it counts how long it stays in a state: use an encoder of its rate, "
            "or fit an HMM on this encoder (parts.hmm.encoder)"
        )
        raise UserError(msg)
