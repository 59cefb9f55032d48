"""No step waits for the device: of what is computed there nothing is asked, forward, backward and after the step.

Here everything lies on the CPU. What comes from parameters, buffers and the tensors that `Batch.to` sends is taken to be on the device,
and so is all that is made of it; `make gpu-check` does the same with tensors that are.
"""

import functools
import traceback
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from foresay.baselines.mfcc import MFCC
from foresay.baselines.yin import PitchTrack
from foresay.contracts import (
    Batch,
    CausalBody,
    FeatureExtractor,
    PitchEncoder,
    SpeakerEncoder,
    SpeechModel,
    StateRecognizer,
    Tokenizer,
    Trainable,
)
from foresay.models.units.kmeans import KMeansUnits, KMeansUnitsSettings
from foresay.models.units.pitch_statistics import PitchStatistics, PitchStatisticsSettings
from foresay.models.units.speaker_table import SpeakerTable, SpeakerTableSettings
from foresay.settings import parts_of
from foresay.training.optimizers import build_optimizer
from foresay.training.recipe import read_recipe
from reference.listed import models_of, recipe_of
from reference.tiny_causal_lms import tiny_body

aten = torch.ops.aten
WAITING = {
    aten._local_scalar_dense.default,  # item, tolist, float, int, bool, if
    aten.nonzero.default,
    aten.masked_select.default,
    aten.equal.default,
    aten.is_nonzero.default,
    aten._unique2.default,
    aten.unique_dim.default,
    aten.unique_consecutive.default,
    aten.repeat_interleave.Tensor,
    aten.bincount.default,
}
INDEXING = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default}
RECIPES = ["mmcpc-digits" if model == "multimodal-cpc" else recipe_of(model) for model in models_of(Trainable)] + ["rnnt-tiny-bpe"]
TINY = ("model.channels=32", "model.context_size=32", "model.negative_count=16", "model.negative_group=2")
SMALL: dict[str, tuple[str, ...]] = {
    "ctc-tiny": ("model.freeze_updates=1", "model.units=phones", 'model.symbols=["<blank>", "a", "b"]'),
    "las-tiny": ("model.units=phones", 'model.symbols=["<blank>", "a", "b"]'),
    "rnnt-tiny": ("model.units=phones", 'model.symbols=["<blank>", "a", "b"]'),
    "rnnt-tiny-bpe": ("model.units=phones", 'model.symbols=["<blank>", "a", "b"]'),
    "transformer-lm-tiny": ('model.symbols=["|", "a", "b", "c", "d"]',),
    "acpc-bidirectional": TINY,
    "demo-acpc": TINY,
    "demo-cpc": TINY,
    "mmcpc-digits": (
        "model.channels=32",
        "model.context_size=32",
        "model.audio_negatives={queue = 64}",
        "model.image_negatives={queue = 64}",
    ),
}


class Device(TorchDispatchMode):
    """Knows which tensors would be on the device, and who waits for one."""

    def __init__(self, tensors: list[Tensor]) -> None:
        super().__init__()
        self.there = {tensor.untyped_storage()._cdata: tensor.untyped_storage() for tensor in tensors}  # kept, or another took its place
        self.waits: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401
        given = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
        there = any(self._holds(value) for value in given)
        by_mask = func in INDEXING and any(index.dtype == torch.bool and self._holds(index) for index in _indices(args))
        if by_mask or (there and func in WAITING):
            self.waits.append(f"{func} in {_where()}")
        found = func(*args, **(kwargs or {}))
        if there:
            self.take([value for value in tree_leaves(found) if isinstance(value, Tensor)])
        return found

    def take(self, tensors: list[Tensor]) -> None:
        self.there |= {tensor.untyped_storage()._cdata: tensor.untyped_storage() for tensor in tensors}

    def _holds(self, tensor: Tensor) -> bool:
        return tensor.untyped_storage()._cdata in self.there


def _indices(args: Any) -> list[Tensor]:  # noqa: ANN401
    return [index for index in args[1] if isinstance(index, Tensor)]


def _where() -> str:
    """The innermost line of the package."""
    ours = [frame for frame in traceback.extract_stack() if "/foresay/" in frame.filename]
    return f"{ours[-1].filename.rpartition('/foresay/')[2]}:{ours[-1].lineno}" if ours else "the backward pass"


@pytest.fixture(autouse=True)
def _one_hot_asks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU torch looks whether the classes of one-hot vectors are in range, on a GPU not."""
    monkeypatch.setattr(F, "one_hot", lambda classes, count: (classes[..., None] == torch.arange(count)).long())


def _batch(model: SpeechModel) -> Batch:
    """Utterances of two lengths, if the model takes such, each with whatever a model may want."""
    if model.needs == ("text",):
        return Batch(("0", "1"), text=("1 23", "4") if parts_of(type(model)) else ("a bc", "d"))  # units have numbers
    size, samples = max(2, model.group), 12_000
    lengths = torch.full((size,), samples)
    batch = Batch(tuple(map(str, range(size))), 0.1 * torch.randn(size, samples), lengths, keys=torch.arange(size))
    if not isinstance(model, FeatureExtractor):
        return replace(batch, labels=torch.arange(size * 75).view(size, 75) % 5, speaker_names=("a", "b") * (size // 2))
    frames = int(model.frame_count(lengths, model.layer_names[-1])[0])
    images = torch.rand(size, 3, 64, 64) if "image" in model.needs else None
    return replace(batch, labels=torch.arange(size * frames).view(size, frames) % 5, images=images, text=("a b", "b") * (size // 2))


@functools.cache
def _model(recipe: str) -> SpeechModel:
    torch.manual_seed(0)
    resolved = read_recipe(recipe, SMALL.get(recipe, ()))
    return resolved.build_model({part: _part(contract).eval() for part, contract in parts_of(resolved.kind).items()}).train()


def _part(contract: type) -> nn.Module:
    """What models are made of: an encoder, units or hidden Markov models on one, pitch in a speaker's range, or the body of a text LM."""
    if issubclass(contract, SpeakerEncoder):
        return SpeakerTable(SpeakerTableSettings(("a", "b")))
    if issubclass(contract, CausalBody):
        return tiny_body()
    if issubclass(contract, PitchEncoder):
        return PitchStatistics(PitchStatisticsSettings(), PitchTrack())
    if issubclass(contract, Tokenizer):
        return KMeansUnits(KMeansUnitsSettings("mfcc", 24), MFCC())
    encoder = read_recipe("wav2vec2-tiny", SMALL.get("wav2vec2-tiny", ())).build_model().eval()
    if not issubclass(contract, StateRecognizer):
        return encoder
    return read_recipe("hmm-tiny", ('model.symbols=["<sil>", "a", "b"]', "model.units=phones", "model.states=1")).build_model(
        {"encoder": encoder}
    )


@pytest.mark.parametrize("recipe", RECIPES)
def test_no_step_waits_for_the_device(recipe: str) -> None:
    model = _model(recipe)
    optimizer = build_optimizer(read_recipe(recipe).optimizer, model.parameters())
    there = Device([*model.parameters(), *model.buffers()])
    for step in range(3 if "image" in model.needs else 2):  # of those with a queue, the third knows that it is full
        batch = _batch(model)
        there.take([value for value in (batch.waveforms, batch.images) if value is not None])
        with there:
            losses = model(batch, step)
            total = torch.stack([term.weight * term.sum / term.count for term in losses.terms.values()]).sum()
            total.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            model.after_step(step)
        if step < 2:
            there.waits = [wait for wait in there.waits if "latent_queue.py" not in wait]  # until it is full it must ask
    assert there.waits == []


def test_utterances_of_unequal_lengths_wait_for_nothing_either() -> None:
    for recipe in ("wav2vec2-tiny", "hubert-tiny", "best-rq-tiny", "w2v-bert-tiny"):
        model = _model(recipe)
        batch = _batch(model)
        assert batch.lengths is not None
        batch = replace(batch, lengths=batch.lengths - 2000 * (torch.arange(len(batch.lengths)) % 2))
        there = Device([*model.parameters(), *model.buffers(), batch.waveforms])  # type: ignore[list-item]
        with there:
            model(batch, 0).terms  # noqa: B018
        assert there.waits == [], recipe


def test_a_wait_is_seen() -> None:
    parameter = torch.nn.Parameter(torch.ones(3))
    there = Device([parameter])
    with there:
        values = parameter.detach() * 2
        assert float(values.sum()) == 6.0
        assert len(values[values > 1]) == 3
        assert float(torch.ones(3).sum()) == 3.0  # of the CPU
    assert [wait.split()[0] for wait in there.waits] == ["aten._local_scalar_dense.default", "aten.index.Tensor"]


def test_what_shapes_the_computation_stays_on_the_cpu() -> None:
    given = Batch(("a",), torch.zeros(1, 9), torch.tensor([9]), keys=torch.tensor([4]), labels=torch.zeros(1, 2, dtype=torch.int64))
    moved = given.to("meta")
    assert moved.waveforms is not None
    assert moved.waveforms.is_meta
    assert (moved.lengths, moved.keys, moved.labels) == (given.lengths, given.keys, given.labels)
