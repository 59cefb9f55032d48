"""Very small models of every kind that can be exported, clips for them, and whether an exported program encodes these as the model does."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from foresay.building import build
from foresay.contracts import SpeechModel

TINY = {"channels": 16, "size": 32, "layers": 2, "heads": 4, "inner": 48, "position_kernel": 16, "position_groups": 4}
LARGE = {"norm": "layer", "pre_norm": True, "standardize": True, "convolution_bias": True}
CPC = {"channels": 32, "context_size": 32, "predictions": 3, "predictor": "linear"}
SPECTROGRAM = {"size": 32, "layers": 2, "heads": 4, "inner": 48, "subsampling_channels": [4, 4], "codes": 6}
KINDS: dict[str, dict[str, Any]] = {
    "wav2vec2": {**TINY, "codes": 4},
    "wav2vec2 large": {**TINY, **LARGE, "codes": 4},
    "hubert": {**TINY, "classes": 5},
    "hubert padded": {**TINY, "classes": 5, "padding_in_norm": True},
    "wavlm": {**TINY, **LARGE, "classes": 5, "buckets": 16, "farthest": 11},
    "cpc": CPC,
    "cpc gru": {**CPC, "context": "gru"},
    "cpc rnn": {**CPC, "context": "rnn"},
    "cpc transformer": {**CPC, "context": "transformer"},
    "acpc": {**CPC, "matched": 5},
    "bidirectional-acpc": {**CPC, "matched": 5},
    "wav2vec": {"channels": 16, "context_size": 16},
    "wav2vec vq": {"channels": 16, "context_size": 16, "codebooks": 2, "codes": 5},
    "best-rq": {**SPECTROGRAM, "causal": True, "left_context": 7},
    "best-rq transformer": {**SPECTROGRAM, "encoder": "transformer", "position_kernel": 16, "position_groups": 4},
    "w2v-bert": {**SPECTROGRAM, "contrastive_layers": 1, "code_size": 8, "target_size": 8},
}


def table_of(kind: str) -> dict[str, Any]:
    """Return a kind's name and settings."""
    return {"name": kind.split(maxsplit=1)[0], **KINDS[kind]}


def tiny_model(kind: str) -> SpeechModel:
    """Build it, untrained."""
    return build(table_of(kind)).eval()


@torch.no_grad()
def assert_equal(program: Callable[[Tensor, Tensor], Sequence[Tensor]], model: SpeechModel, layers: Sequence[str]) -> None:
    """Give both batches of other sizes and lengths than the program was traced with, down to clips of no frame and of one."""
    for lengths in ([6_000, 3_000, 5_555], [4_321], [8_000, 12_000], [1], [450, 0, 719], [161, 80], [1_300]):
        waveforms, samples = 0.1 * torch.randn(len(lengths), max(lengths)), torch.tensor(lengths)
        given, frames = program(waveforms, samples), model.features(waveforms, samples, layers)
        for number, layer in enumerate(layers):
            values, counts = given[2 * number], given[2 * number + 1]
            assert counts.tolist() == frames.lengths[layer].tolist()
            for row, count in enumerate(counts.tolist()):
                torch.testing.assert_close(values[row, :count], frames.values[layer][row, :count], atol=2e-5, rtol=1e-5)
