r"""Unit vocoder: speech resynthesized from discrete units, pitch and a speaker's vector.

Polyak et al., "Speech Resynthesis from Discrete Disentangled Self-Supervised Representations" (arXiv:2104.00355); durations that are
predicted: Lee et al., "Direct speech-to-speech translation with discrete units" (arXiv:2107.05604, section 3.3).

    waveform --> tokenizer --> units (B, T) ---------> embeddings --+
         | \--> pitch: normalized, encoded (B, T') ----> linear ----+-- (B, T'', 3 E) --> generator --> waveform (B, S)
         \----> speaker: vector (B, D) ----------------> linear ----+
                                      loss = multi-scale mel distance [+ least squares of discriminators + 2 x feature matching]
    units, vector --> pitch and voicing     merged units --> durations     of units that have none, such as those of a language model
    vector --> mean and deviation of log F0: in another voice, pitch lies in the range of that voice

The generator is the paper's HiFi-GAN (`decoders/hifigan.py`), or by default a source-filter vocoder (`decoders/istft_vocoder.py`), which
learns in minutes from a spectral loss alone: what makes its harmonics is not the network but pulses at the pitch, as far as the pitch
encoder keeps it. With discriminators an update has two phases: they learn to distinguish, then the generator learns to be mistaken.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from foresay import draws
from foresay.contracts import Batch, Losses, PitchEncoder, SpeakerEncoder, Synthesized, Synthesizer, Term, Tokenizer, Tokens, sent
from foresay.decoders import Generator
from foresay.discriminators import Discriminator
from foresay.errors import UserError
from foresay.layers.prosody import DurationPredictor, PitchPredictor, duration_loss, pitch_losses
from foresay.objectives.adversarial import discriminator_loss, feature_matching, generator_loss
from foresay.objectives.multi_scale_mel import MultiScaleMel
from foresay.settings import find_class, options_of, require_not_negative, require_positive, require_shares

MIDDLE, DEVIATION = 150.0, 0.2
"""Hz, and of log F0: the range of every voice, at first."""
RATES = {"range.": 10.0, "of_unit.": 10.0, "pitch_predictor.": 3.0}
"""Of the learning rate. At that of the others it takes a thousand updates to get from there to the range of a high voice, and hundreds
until the embedding of a unit, which only its own frames move, is what it sounds like; and melody is learnt more slowly than spectra are."""


@dataclass(frozen=True)
class UnitVocoderSettings:
    """Sizes of the generator and of what predicts pitch and durations."""

    embedding: int = 128
    """E: of units, of pitch and of voices (section 3.2)."""
    generator: str = "istft-vocoder"
    """Or `hifigan`."""
    generator_options: dict[str, Any] = field(default_factory=dict)
    """Its sizes."""
    discriminators: tuple[str, ...] = ()
    """Such as `multi-period`, `multi-scale`, `multi-scale-stft`; none: the generator learns from mel distances alone."""
    discriminator_width: float = 1.0
    """Share of the papers' channels that they have."""
    feature_weight: float = 2.0
    """Of feature matching (arXiv:2010.05646, eq. 4)."""
    mel_windows: tuple[int, ...] = (256, 512, 1024, 2048)
    """Samples: the scales of the loss."""
    mel_bands: tuple[int, ...] = (20, 40, 80, 160)
    mel_weight: float = 45.0
    """As in HiFi-GAN (arXiv:2010.05646, section 2.3)."""
    predictor_size: int = 128
    """Of what predicts pitch and durations."""
    predictor_blocks: int = 3
    """Of what predicts pitch."""
    predictor_kernel: int = 15
    """Frames of pitch that each of these looks at, an odd number."""
    predictor_dropout: float = 0.5
    """Of what predicts durations (arXiv:2107.05604)."""

    def __post_init__(self) -> None:
        require_positive(self, "embedding", "discriminator_width", "mel_weight", "predictor_size", "predictor_kernel")
        require_not_negative(self)
        require_shares(self, "predictor_dropout")
        if not self.predictor_kernel % 2:
            msg = f"predictor_kernel = {self.predictor_kernel} is to be odd: as many frames before each as after it"
            raise ValueError(msg)
        if not self.mel_windows or len(self.mel_windows) != len(self.mel_bands):
            msg = f"mel_windows = {list(self.mel_windows)} and mel_bands = {list(self.mel_bands)}: it takes bands for each window"
            raise ValueError(msg)


class Conditions(NamedTuple):
    """What the generator makes speech of."""

    units: Tensor
    """(B, T) int64 on the tokenizer's clock, on the host; V: none."""
    lengths: Tensor
    """(B,) int64 on the host, samples."""
    pitch: Tensor
    """(B, T', 2), normalized, as far as the pitch encoder keeps it."""
    encoded: Tensor
    """(B, T'', D), the same, encoded."""
    hertz: Tensor
    """(B, T')"""
    tracked: Tensor
    """(B,) int64 on the host: frames of pitch."""
    voices: Tensor
    """(B, D')"""


class UnitVocoder(Synthesizer):
    """A tokenizer, a pitch encoder and a speaker encoder, none of which is trained, and the generator of their speech."""

    needs = ("audio", "labels")
    rate_groups = tuple(RATES)
    met: Tensor
    """(V,) bool: the units that it was trained on."""

    def __init__(self, settings: UnitVocoderSettings, tokenizer: Tokenizer, pitch: PitchEncoder, speaker: SpeakerEncoder) -> None:
        """All three take audio of one sample rate.

        Raises:
            UserError: they do not, or the tokenizer gives several symbols a frame.
        """
        super().__init__()
        _refuse_misfits(tokenizer, pitch)
        s = self.settings = settings
        self.tokenizer, self.pitch, self.speaker = tokenizer, pitch, speaker
        self.sample_rate, self.vocabulary = pitch.sample_rate, tokenizer.vocabulary
        self.classes = self.vocabulary
        self.unit_center, self.unit_hop = tokenizer.encoder.first_center, tokenizer.encoder.hop(tokenizer.layer)
        self.of_unit = nn.Embedding(self.vocabulary + 1, s.embedding, padding_idx=self.vocabulary)
        if tokenizer.centers is not None:
            _begin_with(self.of_unit.weight.data[: self.vocabulary], tokenizer.centers)
        self.of_pitch, self.of_voice = nn.Linear(pitch.size, s.embedding), nn.Linear(speaker.size, s.embedding)
        generator = find_class("foresay.decoders", s.generator, Generator)
        options = options_of(generator, s.generator_options, "model.generator_options")
        self.generator: Generator = generator(3 * s.embedding, self.sample_rate, **options)
        judges = [find_class("foresay.discriminators", name, Discriminator) for name in s.discriminators]
        self.discriminators = nn.ModuleList(judge(s.discriminator_width) for judge in judges)
        self.phases = ("discriminate", "generate") if judges else ("train",)
        self.pitch_predictor = PitchPredictor(self.vocabulary, speaker.size, s.predictor_size, s.predictor_blocks, s.predictor_kernel)
        self.duration_predictor = DurationPredictor(self.vocabulary, s.predictor_size, s.predictor_dropout)
        self.range = nn.Linear(speaker.size, 2)
        nn.init.zeros_(self.range.weight)
        self.range.bias.data = torch.tensor([math.log(MIDDLE), DEVIATION])
        self.mel = MultiScaleMel(self.sample_rate, s.mel_windows, s.mel_bands, s.mel_weight)
        self.register_buffer("met", torch.zeros(self.vocabulary, dtype=torch.bool))
        for part in self._parts:
            part.requires_grad_(requires_grad=False)

    @property
    def _parts(self) -> tuple[nn.Module, ...]:
        return tuple(part for part in (self.tokenizer, self.pitch, self.speaker) if isinstance(part, nn.Module))

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002 - torch's own argument
        """Train the generator and the predictors; the parts stay as they are."""
        super().train(mode)
        for part in self._parts:
            part.eval()
        return self

    def trained(self, phase: str) -> Iterable[nn.Parameter]:
        """Yield the parameters of the discriminators, or all others but those of the parts."""
        if phase == "discriminate":
            return self.discriminators.parameters()
        others = {parameter for part in (*self._parts, self.discriminators) for parameter in part.parameters()}
        return (parameter for parameter in self.parameters() if parameter not in others)

    def rate(self, group: str, step: int) -> float:
        """Return the share of the learning rate that ranges of voices, embeddings of units, what predicts pitch, and all others have."""
        return RATES.get(group, 1.0)

    def forward(self, batch: Batch, step: int, phase: str = "train") -> Losses:
        """Loss of the speech that is resynthesized from a batch's own units, pitch and speakers."""
        waveforms, lengths = batch.audio
        units = self._units(batch)
        if self.training:
            known = torch.bincount(units.flatten(), minlength=self.vocabulary + 1)[:-1] > 0
            self.met |= sent(known, self.met.device)
        names = batch.speaker_names or ("",) * len(units)
        with torch.no_grad(), torch.autocast(waveforms.device.type, enabled=False):  # as exact as what is spoken with
            voices = self.speaker.of_batch(names, waveforms, lengths)
            pitch = self.pitch.track(waveforms, lengths)
            normalized = self.pitch.normalize(pitch, names)
            encoded = self.pitch.encode(normalized)
            kept = self.pitch.decode(encoded, normalized.shape[1])
            hertz = self.pitch.restore(kept, names, pitch)
        given, keys = Conditions(units, lengths, kept, encoded, hertz, pitch.lengths, voices), batch.drawn_by.tolist()
        if phase == "discriminate":
            with torch.no_grad():
                synthesized = self.generate(given, keys)[:, : waveforms.shape[1]]
            return Losses({"discrimination": discriminator_loss(self._judged(waveforms), self._judged(synthesized))}, {})
        synthesized = self.generate(given, keys)[:, : waveforms.shape[1]]
        terms = self.mel(synthesized, waveforms, lengths) | self._predicted_from_units(given, normalized)
        if phase == "generate":
            with torch.no_grad():
                recorded = self._judged(waveforms)
            made = self._judged(synthesized)
            terms["adversarial"] = generator_loss(made)
            terms["features"] = feature_matching(recorded, made, self.settings.feature_weight)
        means = {name: term.sum.detach() / term.count for name, term in terms.items()}
        return Losses(terms, means, {name: name for name in means})

    def after_step(self, step: int) -> dict[str, float]:
        """Know the units that any device was trained on."""
        if dist.is_initialized():
            everywhere = self.met.byte()
            dist.all_reduce(everywhere, dist.ReduceOp.MAX)
            self.met.copy_(everywhere)
        return {}

    def _judged(self, waveforms: Tensor) -> list[list[Tensor]]:
        """(B, S) -> what the layers of all discriminators give, the scores of each last."""
        return [layers for discriminator in self.discriminators for layers in discriminator(waveforms)]

    def generate(self, given: Conditions, keys: Sequence[int]) -> Tensor:
        """Generate B waveforms (B, S), whole frames; `keys`: of each, what its noise is drawn by."""
        hop, device = self.generator.hop, given.voices.device
        frames = -(-int(given.lengths.max()) // hop)
        real = _inside(-(-given.lengths // hop), frames, device)
        units = sent(self._at(given.units, frames, hop), device)
        tracked = sent(given.tracked.clamp(min=1), device)[:, None]
        centers = torch.minimum((torch.arange(frames, device=device) + 0.5) * hop, tracked * self.pitch.hop - 1)  # (B, frames)
        codes = (centers // self.pitch.code_hop).long().clamp(max=given.encoded.shape[1] - 1)
        encoded = given.encoded.gather(1, codes[..., None].expand(-1, -1, self.pitch.size))
        states = [self.of_unit(units), self.of_pitch(encoded), self.of_voice(given.voices)[:, None].expand(-1, frames, -1)]
        noise = np.stack([draws.stream("excitation", key).standard_normal(frames * hop, dtype=np.float32) for key in keys])
        hertz = _at_samples(given.hertz, tracked, frames * hop, self.pitch.hop)
        generated: Tensor = self.generator(torch.cat(states, -1), real, hertz, sent(torch.from_numpy(noise), device))
        return generated

    @torch.no_grad()
    def predict_pitch(self, tokens: Tokens, voices: Tensor) -> Tensor:
        """Predict normalized pitch from tokens on the clock (B, 1, T) and voices (B, D): (B, T', 2), on the clock of `pitch.hop`."""
        tokens.require(self.tokenizer.fingerprint, "this vocoder")
        return self._predict_pitch(self._ended(tokens), tokens.lengths.cpu() * self.unit_hop, voices)

    @torch.no_grad()
    def synthesize(self, tokens: Tokens, voices: Tensor, pitch: Tensor | None = None) -> Synthesized:
        """Synthesize tokens (B, 1, T or U) in voices (B, D), vectors of `speaker`.

        Tokens that are merged last as long as they say or, where they do not, as long as is predicted.
        `pitch`: normalized frames (B, T', 2) of `pitch`, padded or cut where they do not fit exactly; None: predicted from the tokens.

        Raises:
            UserError: the tokens are those of another tokenizer.
        """
        tokens.require(self.tokenizer.fingerprint, "this vocoder")
        timed = self._timed(tokens)
        units, lengths = self._ended(timed), timed.lengths.cpu() * self.unit_hop
        if not units.shape[1]:
            return Synthesized(voices.new_zeros(len(units), 0), lengths)
        normalized = self._predict_pitch(units, lengths, voices) if pitch is None else self._fitted(pitch, lengths, voices.device)
        encoded = self.pitch.encode(normalized)
        kept = self.pitch.decode(encoded, normalized.shape[1])
        mean, deviation = self.range(voices)[:, None].unbind(-1)
        hertz = (mean + deviation * kept[..., 0]).exp() * (kept[..., 1] > 0.5)  # noqa: PLR2004 - between unvoiced, 0, and voiced, 1
        given = Conditions(units, lengths, kept, encoded, hertz, -(-lengths // self.pitch.hop), voices)
        waveforms = self.generate(given, [0] * len(units))[:, : int(lengths.max())]
        return Synthesized(waveforms * _inside(lengths, waveforms.shape[1], voices.device)[..., 0], lengths)

    def _units(self, batch: Batch) -> Tensor:
        """Return the units of a batch: (B, T) on the host, V where there is none."""
        if batch.labels is None:
            msg = "UnitVocoder learns from units, and this batch has none: they are made by the part `tokenizer` (parts.tokenizer)"
            raise UserError(msg)
        return torch.where(batch.labels < 0, self.vocabulary, batch.labels)

    def _ended(self, tokens: Tokens) -> Tensor:
        """Return the units of tokens on the clock (B, 1, T): (B, T) on the host, V beyond each utterance."""
        inside = torch.arange(tokens.ids.shape[2]) < tokens.lengths.cpu()[:, None]
        return torch.where(inside, tokens.ids[:, 0].cpu(), self.vocabulary)

    def _timed(self, tokens: Tokens) -> Tokens:
        """Put tokens on the clock, for as long as they say or as is predicted."""
        if tokens.frame_rate is not None:
            return tokens
        if tokens.durations is None:
            device = self.met.device
            real = _inside(tokens.lengths.cpu(), tokens.ids.shape[2], device)
            durations = self.duration_predictor.predict(tokens.ids[:, 0].to(device), real)
            tokens = Tokens(tokens.ids, tokens.lengths, tokens.vocabulary, tokens.fingerprint, durations=durations)
        return tokens.expanded(self.tokenizer.frame_rate)

    def _at(self, units: Tensor, frames: int, hop: int) -> Tensor:
        """Read units (B, T), on the tokenizer's clock, at frames of another hop: the nearest that each utterance has, (B, frames)."""
        centers = (torch.arange(frames) + 0.5) * hop
        places = ((centers - self.unit_center) / self.unit_hop).round().long().clamp(min=0)
        return units.gather(1, torch.minimum(places, self._counted(units)[:, None] - 1))

    def _counted(self, units: Tensor) -> Tensor:
        """Count the units of each utterance (B, T), which are followed by none: (B,), one at least."""
        return torch.where(units < self.vocabulary, torch.arange(1, units.shape[1] + 1), 1).amax(1)

    def _predict_pitch(self, units: Tensor, lengths: Tensor, voices: Tensor) -> Tensor:
        """Predict normalized pitch of units (B, T), which last `lengths` (B,) samples: (B, T', 2)."""
        frames = -(-int(lengths.max()) // self.pitch.hop)
        real = _inside(-(-lengths // self.pitch.hop), frames, voices.device)
        return self.pitch_predictor.predict(sent(self._at(units, frames, self.pitch.hop), voices.device), voices, real)

    def _fitted(self, pitch: Tensor, lengths: Tensor, device: torch.device) -> Tensor:
        """Pad or cut normalized pitch (B, T', 2) to the lengths (B,) of the speech."""
        frames = -(-int(lengths.max()) // self.pitch.hop)
        padded = nn.functional.pad(pitch.to(device), (0, 0, 0, max(frames - pitch.shape[1], 0)))[:, :frames]
        return padded * _inside(-(-lengths // self.pitch.hop), frames, device)

    def _predicted_from_units(self, given: Conditions, normalized: Tensor) -> dict[str, Term]:
        """Losses of what is predicted of pitch, of durations, and of the range of each voice."""
        device, frames = normalized.device, normalized.shape[1]
        real = _inside(given.lengths // self.pitch.hop, frames, device)
        units = sent(self._at(given.units, frames, self.pitch.hop), device)
        merged = Tokens(given.units[:, None], self._counted(given.units), self.vocabulary + 1, "").merged()
        assert merged.durations is not None  # noqa: S101 - merged tokens have them
        inner = _inside(merged.lengths - 1, merged.ids.shape[2], "cpu")[..., 0] * (merged.ids[:, 0] < self.vocabulary)
        inner[:, 0] = 0  # the first and the last unit of a window are cut
        durations = self.duration_predictor(sent(merged.ids[:, 0], device), _inside(merged.lengths, merged.ids.shape[2], device))
        with torch.autocast(device.type, enabled=False):  # numbers of 16 bits are half a semitone apart
            mean, deviation = self.range(given.voices)[:, None].unbind(-1)
        voiced = (given.hertz > 0) * real[..., 0]
        distance = (given.hertz.clamp(min=1).log() - mean - deviation * given.pitch[..., 0]).abs() * voiced
        return {
            **pitch_losses(self.pitch_predictor(units, given.voices, real), normalized, real),
            "duration": duration_loss(durations, sent(merged.durations, device), sent(inner, device)),
            "range": Term(distance.sum(), voiced.sum()),
        }


def _refuse_misfits(tokenizer: Tokenizer, pitch: PitchEncoder) -> None:
    if tokenizer.encoder.sample_rate != pitch.sample_rate:
        msg = (
            f"the tokenizer takes audio of {tokenizer.encoder.sample_rate} Hz, and the pitch encoder of {pitch.sample_rate} Hz: a vocoder "
            "has one sample rate. Take another pitch encoder (parts.pitch)"
        )
        raise UserError(msg)
    if tokenizer.levels != 1:
        msg = f"the tokenizer gives {tokenizer.levels} symbols a frame, and a unit vocoder takes one: `foresay units fit` makes such"
        raise UserError(msg)


def _begin_with(embeddings: Tensor, centers: Tensor) -> None:
    """Put into embeddings (V, E) the principal components of the units' centers (V, D), of power 1: what sounds alike begins alike."""
    found = torch.linalg.svd(centers - centers.mean(0), full_matrices=False)
    components = (found.U * found.S)[:, : embeddings.shape[1]]
    if power := components.square().mean().sqrt():  # there is none where no centers were found yet
        embeddings.zero_()[:, : components.shape[1]] = components / power


def _inside(lengths: Tensor, count: int, device: torch.device | str) -> Tensor:
    """(B,) on the host -> (B, count, 1) float: 1 within each length, 0 beyond it."""
    return sent((torch.arange(count) < lengths[:, None]).float()[..., None], device)


def _at_samples(hertz: Tensor, tracked: Tensor, samples: int, hop: int) -> Tensor:
    """Read pitch (B, T), 0 where nothing is voiced, at each sample (B, samples): on a line between frames, if both are voiced.

    `tracked` (B, 1): frames that there are; what comes after the last one is as high.
    """
    places = ((torch.arange(samples, device=hertz.device) + 0.5) / hop - 0.5).clamp(min=0)
    places = torch.minimum(places, tracked - 1)  # (B, samples)
    before, share = places.long(), places % 1
    here, after = hertz.gather(1, before), hertz.gather(1, torch.minimum(before + 1, tracked - 1))
    nearest = torch.where(share < 0.5, here, after)  # noqa: PLR2004 - halfway
    return torch.where((here > 0) & (after > 0), torch.lerp(here, after, share), nearest)
