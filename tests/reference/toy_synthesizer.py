"""A synthesizer without training: each unit is a tone, louder in the second voice, and a hum of the pitch is mixed in."""

from dataclasses import dataclass
from math import tau
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foresay.building import describe
from foresay.contracts import Batch, Losses, PitchEncoder, SpeakerEncoder, Synthesized, Synthesizer, Term, Tokenizer, Tokens
from foresay.corpora.manifest import Manifest
from foresay.encoding.passes import CorpusPasses
from foresay.loading import load
from foresay.models.units.kmeans import KMeansUnits, KMeansUnitsSettings
from foresay.runs import Run
from foresay.settings import write_toml
from reference.toy_pitch import ToyPitch, ToyPitchSettings
from reference.toy_speakers import ToySpeakers, ToySpeakersSettings


@dataclass(frozen=True)
class ToySynthesizerSettings:
    lowest: float = 400.0
    """Hz of unit 0."""
    apart: float = 200.0
    """Hz from each unit to the next."""
    hum: float = 0.5
    """How loud the pitch is, beside the unit."""
    louder: float = 0.0
    """What is added to the loudness, so that it clips."""


class ToySynthesizer(Synthesizer):
    def __init__(self, settings: ToySynthesizerSettings, tokenizer: Tokenizer, pitch: PitchEncoder, speaker: SpeakerEncoder) -> None:
        super().__init__()
        self.settings, self.tokenizer, self.pitch, self.speaker = settings, tokenizer, pitch, speaker
        self.sample_rate = tokenizer.encoder.sample_rate
        self.loudness = nn.Parameter(torch.linspace(0.1, 0.3, speaker.size) + settings.louder)
        self.register_buffer("met", torch.ones(tokenizer.vocabulary, dtype=torch.bool))

    def forward(self, batch: Batch, step: int, phase: str = "train") -> Losses:  # noqa: ARG002
        return Losses({"loudness": Term(self.loudness.square().sum(), 1)}, {})

    def predict_pitch(self, tokens: Tokens, voices: Tensor) -> Tensor:  # noqa: ARG002
        frames = tokens.ids.shape[2] * self._hop // self.pitch.hop
        return torch.stack([torch.zeros(1, frames), torch.zeros(1, frames)], dim=-1).expand(len(tokens.ids), -1, -1)

    def synthesize(self, tokens: Tokens, voices: Tensor, pitch: Tensor | None = None) -> Synthesized:
        tokens.require(self.tokenizer.fingerprint, "the synthesizer")
        tokens = tokens.expanded(self.tokenizer.frame_rate) if tokens.durations is not None else tokens
        pitch = self.predict_pitch(tokens, voices) if pitch is None else pitch
        hertz = (self.settings.lowest + self.settings.apart * tokens.ids[:, 0]).repeat_interleave(self._hop, dim=1)
        hum = self.pitch.restore(pitch, [None] * len(pitch)).repeat_interleave(self.pitch.hop, dim=1)
        hum = F.pad(hum, (0, max(0, hertz.shape[1] - hum.shape[1])))[:, : hertz.shape[1]]
        phases = [(tau * values / self.sample_rate).cumsum(1) for values in (hertz, hum)]
        loudness = (voices * self.loudness).sum(1, keepdim=True)
        return Synthesized(loudness * (phases[0].sin() + self.settings.hum * phases[1].sin()), tokens.lengths.cpu() * self._hop)

    @property
    def _hop(self) -> int:
        return self.tokenizer.encoder.hop(self.tokenizer.layer)


def toy_synthesizer(
    corpus: Manifest, *, hum: float = 0.5, louder: float = 0.0, names: tuple[str, ...] = ("speaker 0", "speaker 1")
) -> ToySynthesizer:
    """Fit units, and build a synthesizer of them."""
    units = KMeansUnits(KMeansUnitsSettings("logmel", 6), load("logmel")).eval()
    units.fit(CorpusPasses(corpus, 0))
    pitch, speaker = ToyPitch(ToyPitchSettings()), ToySpeakers(ToySpeakersSettings(names))
    return ToySynthesizer(ToySynthesizerSettings(hum=hum, louder=louder), units, pitch, speaker).eval()


def write_synthesizer(folder: Path, model: ToySynthesizer, step: int = 7) -> Path:
    """Write a run of a synthesizer, without any training."""
    run = Run(folder)
    run.begin("# resolved\n")
    described = write_toml({"recipe": folder.name, "step": step, "version": "0", "model": describe(model)})
    run.save(step, model.state_dict(), {}, described, keep=9)
    return folder
