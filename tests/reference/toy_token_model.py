"""A language of eight units that sound as steps: the level of 30 ms of a recording is the unit. Its model counts bigrams."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor, nn

from foresay.contracts import Batch, FeatureExtractor, Frames, Losses, Sampling, Tokenizer, TokenModel, Tokens
from foresay.corpora.manifest import Item, Manifest, write_manifest
from foresay.models.generation.ngram import NGram, NGramSettings

UNITS = 8
HOP = 160
LASTS = 3
"""Frames that a unit lasts in a recording."""


def write_units(folder: Path, spoken: dict[str, str], name: str = "manifest") -> Manifest:
    """Write recordings of units, such as `0 3 5`, by their ids, and a manifest of them."""
    items = []
    for key, text in spoken.items():
        path = folder / f"{key}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        levels = [(int(unit) + 0.5) / UNITS for unit in text.split()]
        soundfile.write(path, np.repeat(levels, LASTS * HOP), 16_000)
        items.append(Item(key, path, duration=len(levels) * LASTS * HOP / 16_000, sample_rate=16_000, speaker="toy"))
    write_manifest(folder / f"{name}.jsonl", items)
    return Manifest.open(folder / f"{name}.jsonl")


class Levels(nn.Module, FeatureExtractor):
    """Mean level of every 10 ms."""

    sample_rate = 16_000
    layer_names = ("level",)
    receptive_field = HOP
    first_center = HOP // 2

    def frame_count(self, lengths: Tensor, layer: str) -> Tensor:  # noqa: ARG002
        return lengths // HOP

    def features(self, waveforms: Tensor, lengths: Tensor, layers: Sequence[str] | None = None) -> Frames:  # noqa: ARG002
        whole = waveforms[:, : waveforms.shape[1] // HOP * HOP]
        values = whole.unflatten(1, (-1, HOP)).mean(-1, keepdim=True)
        return Frames({"level": values}, {"level": self.frame_count(lengths, "level")}, {"level": 100.0})


class LevelTokenizer(nn.Module, Tokenizer):
    """The level, in eighths."""

    layer = "level"
    vocabulary = UNITS
    fingerprint = "levels"

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Levels()

    def quantize(self, frames: Tensor) -> Tensor:
        return (frames * UNITS).floor().long().clamp(0, UNITS - 1)


@dataclass(frozen=True)
class ToyTokenModelSettings:
    order: int = 2


class ToyTokenModel(TokenModel):
    """Counts merged units."""

    layer_names = ("level",)
    window = 100

    def __init__(self, settings: ToyTokenModelSettings, tokenizer: LevelTokenizer, texts: Sequence[str]) -> None:
        super().__init__()
        self.settings, self.tokenizer = settings, tokenizer
        encoder = tokenizer.encoder
        self.sample_rate, self.receptive_field, self.first_center = encoder.sample_rate, encoder.receptive_field, encoder.first_center
        self.ngram = NGram(NGramSettings(settings.order))
        self.ngram.learn(texts)

    @property
    def language_model(self) -> NGram:
        return self.ngram

    def prepared(self, tokens: Tokens) -> Tokens:
        tokens.require(self.tokenizer.fingerprint, "the toy")
        return self.modelled(tokens)

    def modelled(self, tokens: Tokens) -> Tokens:
        return tokens.merged()

    def log_probabilities(self, tokens: Tokens) -> Tensor:
        merged = self.prepared(tokens)
        found = torch.zeros(len(merged.ids), merged.ids.shape[2])
        for row, (units, length) in enumerate(zip(merged.ids[:, 0].tolist(), merged.lengths.tolist(), strict=True)):
            state = torch.tensor([self.ngram.start])
            for place, unit in enumerate(units[:length]):
                number = self.ngram.symbols.index(str(unit)) if str(unit) in self.ngram.symbols else -1
                found[row, place], state = self.ngram.advance(state, torch.tensor([number]))
        return found

    def generate(self, prompts: Tokens, sampling: Sampling, keys: Sequence[int]) -> Tokens:
        rows = []
        for units, length, key in zip(prompts.ids[:, 0].tolist(), prompts.lengths.tolist(), keys, strict=True):
            drawn, state, random = [], torch.tensor([self.ngram.start]), torch.Generator().manual_seed(key)
            for unit in units[:length]:
                _, state = self.ngram.advance(state, torch.tensor([self.ngram.symbols.index(str(unit))]))
            while len(drawn) < sampling.longest:
                scores, states = self.ngram.advance_all(state)
                scores = torch.cat([scores[0], self.ngram.end(state)]) / max(sampling.temperature, 1e-6)
                number = int(torch.multinomial(scores.softmax(0), 1, generator=random))
                if number == len(self.ngram.symbols):
                    break
                drawn.append(int(self.ngram.symbols[number]))
                state = states[:, number]
            rows.append(torch.tensor(drawn, dtype=torch.int64))
        lengths = torch.tensor([len(row) for row in rows])
        ids = nn.utils.rnn.pad_sequence(rows, batch_first=True)[:, None]
        return replace(prompts, ids=ids, lengths=lengths, frame_rate=None, durations=None)

    def frame_count(self, lengths: Tensor, layer: str) -> Tensor:
        return self.tokenizer.encoder.frame_count(lengths, layer)

    def features(self, waveforms: Tensor, lengths: Tensor, layers: Sequence[str] | None = None) -> Frames:
        return self.tokenizer.encoder.features(waveforms, lengths, layers)

    def forward(self, batch: Batch, step: int, phase: str = "train") -> Losses:
        raise NotImplementedError


def toy_model(*texts: str) -> ToyTokenModel:
    """Make a model that knows some texts."""
    return ToyTokenModel(ToyTokenModelSettings(), LevelTokenizer(), texts).eval()
