"""States of hidden Markov models as units: the likeliest of each frame, and labels that HuBERT learns."""

from pathlib import Path

import torch

from foresay.corpora.manifest import Manifest
from foresay.encoding.labels import FrameLabels
from foresay.loading import load
from foresay.models.recognition.hmm import HMM
from foresay.models.units.hmm_states import HMMStates, HMMStatesSettings
from foresay.workflows.train import run_recipe
from reference.tones import write_tones


def test_hubert_learns_the_states_of_an_hmm(tmp_path: Path) -> None:
    corpus = write_tones(tmp_path / "train.jsonl", 4)
    small = ["model.units=letters", "model.passes=3", "model.states=1", "model.gaussians=1"]
    run_recipe("finetune", "hmm-tiny", corpus, tmp_path / "hmm", overrides=small)
    hmm = load(tmp_path / "hmm")
    assert isinstance(hmm, HMM)
    units = HMMStates(HMMStatesSettings(), hmm)
    waveform = torch.from_numpy(Manifest.open(corpus).read(0, hmm.sample_rate))[None]
    lengths = torch.tensor([waveform.shape[1]])
    likeliest = hmm.features(waveform, lengths).values["likelihoods"].argmax(-1)
    found = units.encode(waveform, lengths)
    assert torch.equal(found.ids[:, 0], likeliest)
    assert (found.vocabulary, found.frame_rate) == (5, 100.0)  # silence and four letters
    sizes = ("channels=16", "size=32", "layers=1", "inner=64", "target_size=8", "classes=5")
    settings = [*(f"model.{size}" for size in sizes), "data.shortest=0.5", "data.seconds=4", "trainer.steps=1"]
    run_recipe("pretrain", "hubert-tiny", corpus, tmp_path / "hubert", overrides=[*settings, f"parts.labels={tmp_path / 'hmm'}"])
    labels = FrameLabels(tmp_path / "hubert" / "labels" / "train", Manifest.open(corpus))
    assert labels.classes == 5
