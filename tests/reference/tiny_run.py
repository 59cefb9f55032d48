"""A run folder with a very small CPC or ACPC in it, as training leaves one behind, without any training."""

from pathlib import Path

import torch

from foresay.building import build
from foresay.contracts import SpeechModel
from foresay.runs import Run
from foresay.settings import write_toml

SMALL: dict[str, object] = {
    "channels": 8,
    "context_size": 8,
    "context_layers": 1,
    "predictions": 3,
    "predictor": "linear",
    "negative_count": 4,
    "negative_group": 2,
}


def write_run(folder: Path, name: str = "cpc", step: int = 7, seed: int = 99, **settings: object) -> SpeechModel:
    """Write a run whose weights come from `seed`, and return its model."""
    table = {"name": name, **SMALL, **settings}
    torch.manual_seed(seed)
    model = build(table)
    run = Run(folder)
    run.begin("# resolved\n")
    run.save(step, model.state_dict(), {}, write_toml({"recipe": folder.name, "step": step, "version": "0", "model": table}), keep=9)
    return model.eval()
