"""Runs of version 0.1.0 load, and give the features that they gave then; what cannot go on says how to begin anew."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from foresay.errors import UserError
from foresay.loading import load
from foresay.workflows.pretrain import pretrain
from foresay.workflows.warm_start import WarmStart
from reference.levels import write_corpus

RUNS = Path(__file__).parent / "golden" / "runs-0.1.0"
"""Made by `foresay pretrain` of that version; expected.npy: every fifth frame of the last layer of half a second of a rising tone."""


@pytest.mark.parametrize("name, layer", [("acpc", "c"), ("hubert", "L1")])
def test_an_older_run_gives_the_features_it_gave(name: str, layer: str) -> None:
    time = np.arange(8000) / 16_000
    waveform = torch.tensor((0.2 * np.sin(2 * np.pi * (200 + 300 * time) * time)).astype(np.float32))[None]
    with torch.no_grad():
        features = load(RUNS / name).features(waveform, torch.tensor([8000]), (layer,)).values[layer][0, ::5]
    np.testing.assert_allclose(features, np.load(RUNS / name / "expected.npy"), atol=1e-5)


def test_an_older_run_of_hubert_is_not_gone_on_with_and_its_weights_serve(tmp_path: Path) -> None:
    """Its labels were clusters without an encoder; now they are units of a tokenizer."""
    corpus = write_corpus(tmp_path / "train.jsonl", 8, seed=0).path
    shutil.copytree(RUNS / "hubert", tmp_path / "old")
    small = ["model.channels=8", "model.size=16", "model.inner=32", "model.layers=1", "model.heads=2", "model.target_size=8"]
    small += ["model.position_kernel=8", "model.position_groups=2", "model.classes=8", "parts.labels.clusters=8", "data.seconds=6"]
    with pytest.raises(UserError, match=r"\[labels\] is a part now.*parts.labels"):
        pretrain("hubert-tiny", corpus, tmp_path / "old", overrides=[*small, "trainer.steps=2"])
    progress = pretrain(
        "hubert-tiny", corpus, tmp_path / "new", start=WarmStart(str(tmp_path / "old")), overrides=[*small, "trainer.steps=2"]
    )
    assert progress.step == 2
