"""Give a model to other programs: to transformers, or as a program of its own (torch.export, ONNX)."""

import io
import json
import shutil
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import torch
from torch.export import Dim, ExportedProgram

from foresay.contracts import Recognizer, SpeechModel
from foresay.errors import UserError, with_article
from foresay.extras import optional
from foresay.files import UNFINISHED, make_folder, write_bytes, write_text
from foresay.hub.folders import write_folder
from foresay.hub.plain import as_function
from foresay.hub.recognizers import write_recognizer
from foresay.loading import load
from foresay.models.representation._masked_transformer import MaskedTransformer
from foresay.settings import Table

DESCRIPTION = "export.json"
EXAMPLE = (2, 2.0)
"""Clips and seconds that a program is traced with; it then takes any number of them, of any length."""

Format = Literal["huggingface", "torch", "onnx"]


def export(model: str | Path, dest: str | Path, *, to: Format, layers: Sequence[str] | None = None) -> Path:
    """Write `model` (a run, `RUN@step`, a model folder, other people's) into the folder `dest`, which must be new or empty; return it.

    `huggingface`: config.json, preprocessor_config.json and model.safetensors, for `transformers.AutoModel.from_pretrained`; of a
    recognizer its tokenizer too, for `AutoModelForCTC` and `AutoProcessor`.
    `torch`: model.pt2, for `torch.export.load`. `onnx`: model.onnx. Both are programs that take waveforms (B, S) and lengths (B,), in
    samples, and give `layers` (default the last one): of each the frames (B, T, D) and how many of them are real (B,).
    export.json beside them says names, rates and times.

    Raises:
        UserError: the model cannot be had in that format, the folder holds something, or a package is missing.
    """
    folder = Path(dest)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        msg = f"{folder} is there already, and not an empty folder: choose another, so that nothing of it is lost"
        raise UserError(msg)
    loaded = load(model)
    write = _writer(loaded, to, layers, str(model))
    unfinished = folder.with_name(f"{UNFINISHED}{folder.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    make_folder(unfinished)
    try:
        write(unfinished)
        if folder.exists():
            folder.rmdir()
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _writer(loaded: object, to: Format, layers: Sequence[str] | None, name: str) -> Callable[[Path], None]:
    """Find what writes a model."""
    if isinstance(loaded, Recognizer) and to == "huggingface":
        _refuse_layers(layers)
        return lambda place: write_recognizer(loaded, place)
    if not isinstance(loaded, SpeechModel):
        msg = (
            f"{name} is {with_article(type(loaded))}, and what is exported --to {to} are the encoders of Foresay: no baselines, units or "
            "foreign networks; recognizers --to huggingface"
        )
        raise UserError(msg)
    if to == "huggingface":
        _refuse_layers(layers)
        return lambda place: _to_huggingface(loaded, place)
    chosen = loaded.layer_names[-1:] if layers is None else loaded.chosen(layers)
    return lambda place: (_to_torch if to == "torch" else _to_onnx)(loaded, chosen, place)


def _refuse_layers(layers: Sequence[str] | None) -> None:
    if layers is not None:
        msg = "a Hugging Face folder holds the whole model: leave out the layers (transformers gives all with output_hidden_states=True)"
        raise UserError(msg)


def _to_huggingface(model: SpeechModel, folder: Path) -> None:
    if not isinstance(model, MaskedTransformer):
        kind = type(model).__name__
        msg = f"transformers has no {kind}, so no folder of the Hugging Face hub can hold one: export it --to torch or --to onnx"
        raise UserError(msg)
    write_folder(model, folder)


def _to_torch(model: SpeechModel, layers: Sequence[str], folder: Path) -> None:
    program = io.BytesIO()
    torch.export.save(_program(model, layers), program)  # into memory: where a disk is full, torch would end the process
    write_bytes(folder / "model.pt2", program.getvalue())
    _describe(model, layers, folder)


def _to_onnx(model: SpeechModel, layers: Sequence[str], folder: Path) -> None:
    with optional("onnx", "onnx", "export --to onnx"):
        import onnx  # noqa: F401, PLC0415 - PyTorch's exporter needs both
    with optional("onnxscript", "onnx", "export --to onnx"):
        import onnxscript  # noqa: F401, PLC0415
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PyTorch's exporter warns of PyTorch's own
        program = torch.onnx.export(
            _program(model, layers), dynamo=True, input_names=["waveforms", "lengths"], output_names=_outputs(layers), verbose=False
        )
    assert program is not None  # noqa: S101 - it is only where a file is given
    program.save(folder / "model.onnx")
    _describe(model, layers, folder)


@torch.no_grad()
def _program(model: SpeechModel, layers: Sequence[str]) -> ExportedProgram:
    """Trace a model with clips and samples of any number."""
    clips, seconds = EXAMPLE
    samples = round(seconds * model.sample_rate)
    example = (torch.zeros(clips, samples), torch.full((clips,), samples))
    batch, time = Dim.DYNAMIC, Dim.DYNAMIC
    return torch.export.export(as_function(model, layers), example, dynamic_shapes=({0: batch, 1: time}, {0: batch}))


def _outputs(layers: Sequence[str]) -> list[str]:
    return [name for layer in layers for name in (layer, f"{layer}_lengths")]


def _describe(model: SpeechModel, layers: Sequence[str], folder: Path) -> None:
    """Write what a program takes and gives."""
    second = torch.zeros(1, model.sample_rate)
    with torch.no_grad():
        rates = model.features(second, torch.tensor([model.sample_rate]), layers).frame_rate
    description: Table = {
        "inputs": {"waveforms": "(B, S) float32 in [-1, 1]", "lengths": "(B,) int64, samples"},
        "outputs": _outputs(layers),
        "sample_rate": model.sample_rate,
        "frame_rate": rates,
        "receptive_field": model.receptive_field,
        "first_center": model.first_center,
    }
    write_text(folder / DESCRIPTION, json.dumps(description, indent=2) + "\n")
