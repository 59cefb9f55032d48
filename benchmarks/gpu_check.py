"""The loss of every model on CUDA tensors that hold nothing: tensors on the wrong device and waits, found without a GPU.

    make gpu-check        makes an environment of its own, with a CUDA build of torch (some 5 GB)

Parameters, buffers and what `Batch.to` sends are fake tensors of the device `cuda`; keys, lengths, labels and what is drawn are real and on
the CPU. An operation that is given both on the two sides names the line, and so does one whose result somebody asks for.
"""

import sys
import traceback
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from foresay import draws
from foresay.contracts import Batch, SpeechModel
from foresay.layers.latent_queue import LatentQueue
from foresay.training.recipe import read_recipe

RECIPES = (
    "demo-acpc",
    "demo-cpc",
    "acpc-bidirectional",
    "wav2vec-tiny",
    "vq-wav2vec-tiny",
    "wav2vec2-tiny",
    "hubert-tiny",
    "wavlm-tiny",
    "best-rq-tiny",
    "w2v-bert-tiny",
    "mmcpc-digits",
)
SAMPLES = 24_000


class TwoSides(TorchDispatchMode):
    """Runs for real what concerns the CPU alone, above a mode of fake tensors that runs the rest."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401
        """See to one operation."""
        given = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
        device = torch.device((kwargs or {}).get("device") or "cpu")
        if device.type == "cuda" or any(isinstance(value, FakeTensor) for value in given):
            return func(*args, **(kwargs or {}))
        with unset_fake_temporarily():
            return func(*args, **(kwargs or {}))


def put_on_the_device(model: nn.Module) -> None:
    """Replace parameters and buffers by fake ones."""
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            fake = torch.empty(parameter.shape, dtype=parameter.dtype, device="cuda")
            module.register_parameter(name, nn.Parameter(fake, parameter.requires_grad))
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, torch.empty(buffer.shape, dtype=buffer.dtype, device="cuda"))
        if isinstance(module, nn.RNNBase):
            module._flat_weights = [getattr(module, name) for name in module._flat_weights_names]  # noqa: SLF001 - as `Module.to` does
        if isinstance(module, LatentQueue):
            module._held = len(module.latents)  # noqa: SLF001 - a full one: until then it asks


def a_batch(model: SpeechModel) -> Batch:
    """Make utterances of two lengths where the model takes such, with all that a model may want, on the CPU."""
    size = max(2, model.group)
    lengths = torch.full((size,), SAMPLES)
    frames = int(model.frame_count(lengths, model.layer_names[-1])[0])
    labels = torch.arange(size * frames).view(size, frames) % 5
    images = torch.rand(size, 3, 64, 64) if "image" in model.modalities else None
    return Batch(tuple(map(str, range(size))), torch.zeros(size, SAMPLES), lengths, torch.arange(size), labels=labels, images=images)


def step(model: SpeechModel, batch: Batch) -> None:
    """Compute a loss, and do what follows an update. The gradient would need a driver: `tests/training/test_waits.py` looks at it."""
    model.train()(batch.to("cuda"), 0).total()
    model.after_step(0)


def check(name: str) -> str:
    """Return what is wrong with a recipe's model, and where; nothing if nothing is."""
    model = read_recipe(name).build_model()
    whole = a_batch(model)
    assert whole.lengths is not None  # noqa: S101
    shorter = replace(whole, lengths=whole.lengths - 4000 * (torch.arange(len(whole.lengths)) % 2))
    try:
        with FakeTensorMode(allow_non_fake_inputs=True), TwoSides():
            put_on_the_device(model)
            for batch in (whole, shorter):
                step(model, batch)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/foresay/" in frame.filename]
        frame = frames[-1] if frames else traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} at {frame.filename.rpartition('/foresay/')[2]}:{frame.lineno}: {str(error).splitlines()[0]}"
    return ""


def main() -> int:
    """Check the recipes that are named, or one of each family."""
    torch.backends.cudnn.enabled = False  # its LSTM asks for a driver, and so do generators and pinned memory
    found = {}
    real = draws.generator

    def no_driver(purpose: draws.Purpose, *numbers: int, device: torch.device | str = "cpu") -> torch.Generator | None:
        return None if torch.device(device).type == "cuda" else real(purpose, *numbers)

    with mock.patch.object(draws, "generator", no_driver), mock.patch.object(Tensor, "pin_memory", lambda values: values):
        for name in sys.argv[1:] or RECIPES:
            found[name] = check(name)
            print(f"{name:22} {found[name] or 'no tensor on the wrong device, no wait'}", flush=True)
    return int(any(found.values()))


if __name__ == "__main__":
    sys.exit(main())
