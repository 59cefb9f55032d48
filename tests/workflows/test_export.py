"""An exported model encodes as the model does, any number of clips of any length; or it is refused and nothing is left."""

import errno
import json
import os
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

import foresay.workflows.export as workflow
from foresay.contracts import SpeechModel
from foresay.errors import UserError
from foresay.loading import load
from foresay.runs import Run
from foresay.settings import write_toml
from foresay.workflows.export import export
from reference.tiny_checkpoints import hidden_states, transformers
from reference.tiny_exports import KINDS, assert_equal, table_of, tiny_model
from reference.tiny_run import write_run

QUICK = ("wav2vec2 large",)
"""Of the others `hub/test_plain.py` compares what is exported, which takes the compiler long."""
EACH = [pytest.param(kind, marks=[] if kind in QUICK else pytest.mark.slow) for kind in KINDS]

RATES = {"wav2vec2": 50, "hubert": 50, "wavlm": 50, "best-rq": 25, "w2v-bert": 25}


def _run(folder: Path, kind: str) -> SpeechModel:
    """Write a run of the model."""
    model, run = tiny_model(kind), Run(folder)
    run.begin("# resolved\n")
    run.save(1, model.state_dict(), {}, write_toml({"step": 1, "model": table_of(kind)}), keep=1)
    return model


@pytest.fixture(params=EACH)
def program(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, SpeechModel, Path, torch.nn.Module]:
    """A kind of model, one of it, the folder that it was exported to, and what is loaded from there."""
    model = _run(tmp_path / "run", request.param)
    folder = export(tmp_path / "run", tmp_path / "out", to="torch", layers=model.layer_names)
    return request.param, model, folder, torch.export.load(folder / "model.pt2").module()


def test_torch_program(program: tuple[str, SpeechModel, Path, torch.nn.Module]) -> None:
    kind, model, folder, loaded = program
    layers = model.layer_names
    assert {file.name for file in folder.iterdir()} == {"model.pt2", "export.json"}
    assert_equal(loaded, model, layers)
    description = json.loads((folder / "export.json").read_text())
    assert description["outputs"] == [name for layer in layers for name in (layer, f"{layer}_lengths")]
    assert description["sample_rate"] == 16_000
    assert description["frame_rate"][layers[0]] == RATES.get(kind.split(maxsplit=1)[0], 100)


@pytest.mark.parametrize("kind", EACH)
def test_onnx(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    model = _run(tmp_path / "run", kind)
    folder = export(tmp_path / "run", tmp_path / "out", to="onnx")
    session = runtime.InferenceSession(folder / "model.onnx")

    def program(waveforms: Tensor, lengths: Tensor) -> list[Tensor]:
        return [torch.from_numpy(part) for part in session.run(None, {"waveforms": waveforms.numpy(), "lengths": lengths.numpy()})]

    assert_equal(program, model, model.layer_names[-1:])


@pytest.mark.parametrize("kind", ["wav2vec2", "wav2vec2 large", "hubert", "wavlm"])
def test_transformers_encodes_the_same(kind: str, tmp_path: Path) -> None:
    model = _run(tmp_path / "run", kind)
    folder = export(tmp_path / "run", tmp_path / "out", to="huggingface")
    theirs = transformers.AutoModel.from_pretrained(folder).eval()
    prepare = transformers.AutoFeatureExtractor.from_pretrained(folder)
    waveforms, lengths = 0.1 * torch.randn(1, 6_000), torch.tensor([6_000])
    prepared = prepare(waveforms[0].numpy(), sampling_rate=16_000, return_tensors="pt").input_values
    with torch.no_grad():
        frames = model.features(waveforms, lengths)
    for layer, values in zip(model.layer_names, hidden_states(theirs, prepared), strict=True):
        torch.testing.assert_close(frames.values[layer], values, atol=1e-5, rtol=1e-5)
    again = load(f"hf:{folder}")
    assert torch.equal(again.transformer.norm.weight, model.transformer.norm.weight)


def test_what_cannot_be_exported_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path / "run")
    with pytest.raises(UserError, match="transformers has no CPC.*--to torch"):
        export(tmp_path / "run", tmp_path / "out", to="huggingface")
    with pytest.raises(UserError, match="leave out the layers"):
        export(tmp_path / "run", tmp_path / "out", to="huggingface", layers=["c"])
    with pytest.raises(UserError, match='did you mean "c"'):
        export(tmp_path / "run", tmp_path / "out", to="torch", layers=["cc"])
    with pytest.raises(UserError, match="mfcc is an MFCC, and what is exported --to torch are the encoders"):
        export("mfcc", tmp_path / "out", to="torch")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UserError, match="--to onnx needs the package onnx, which is not installed: pip install"):
        export(tmp_path / "run", tmp_path / "out", to="onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]  # nothing half-written
    with pytest.raises(UserError, match="not an empty folder"):
        export(tmp_path / "run", tmp_path / "run", to="torch")


@pytest.mark.slow
def test_a_full_disk_is_no_end_of_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_path: Path, _content: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    write_run(tmp_path / "run")
    monkeypatch.setattr(workflow, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        export(tmp_path / "run", tmp_path / "program", to="torch")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
