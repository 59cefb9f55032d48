"""What `load` finds, and what it says where there is nothing to load."""

from pathlib import Path

import pytest
import torch

from foresay.contracts import Extractor
from foresay.errors import UserError
from foresay.loading import load
from foresay.models.representation.cpc import CPC, CPCSettings
from foresay.runs import Run
from foresay.settings import list_names, to_table, write_toml


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with two checkpoints, of models that differ."""
    run = Run(tmp_path / "run")
    run.begin("")
    settings = CPCSettings(channels=32, context_size=32, predictions=2)
    for step in (5, 10):
        torch.manual_seed(step)
        run.save(step, CPC(settings).state_dict(), {}, write_toml({"step": step, "model": {"name": "cpc", **to_table(settings)}}), keep=2)
    return run


def _first_weight(name: str | Path) -> float:
    weight: float = load(name).encoder.convolutions[0].weight[0, 0, 0].item()
    return weight


def test_a_run_is_its_last_step_and_a_step_can_be_named(run: Run) -> None:
    assert _first_weight(run.folder) == _first_weight(f"{run.folder}@10") == _first_weight(run.folder / "model")
    assert _first_weight(f"{run.folder}@5") != _first_weight(run.folder)


@pytest.mark.parametrize("name", list_names("foresay.baselines"))
def test_baselines(name: str) -> None:
    extractor = load(name)
    assert isinstance(extractor, Extractor)
    assert not extractor.training


def test_nothing_to_load_is_explained(run: Run, tmp_path: Path) -> None:
    (tmp_path / "young").mkdir()
    (tmp_path / "young" / "recipe.toml").touch()
    for name, message in {
        f"{run.folder}@7": "no checkpoint of step 7; it keeps: 5, 10",
        tmp_path / "young": "has saved no model yet",
        tmp_path: "neither a run nor a model folder",
        "mfc": r"'mfc' is neither a folder nor a baseline",
    }.items():
        with pytest.raises(UserError, match=message):
            load(name)


def test_weights_of_another_model_are_refused(run: Run) -> None:
    description = run.folder / "model" / "model.toml"
    description.write_text(
        description.read_text().replace("channels = 32", "channels = 64").replace("context_size = 32", "context_size = 64")
    )
    with pytest.raises(UserError, match="does not fit the model"):
        load(run.folder)


def test_a_truncated_file_is_refused(run: Run) -> None:
    weights = run.folder / "model" / "model.safetensors"
    content = weights.read_bytes()
    weights.unlink()  # not the checkpoint's bytes too
    weights.write_bytes(content[:1000])
    with pytest.raises(UserError, match=r"copied together, whole\?"):
        load(run.folder)
