"""Hybrid of a network and HMMs: its labels, its loss, its priors, and that it writes what it was fitted on."""

import dataclasses
import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from foresay.contracts import Batch, Encoded
from foresay.corpora.manifest import Manifest
from foresay.encoding.search_settings import SearchSettings
from foresay.encoding.searches import Decoder
from foresay.encoding.transcripts import transcribed
from foresay.errors import UserError
from foresay.loading import load
from foresay.models.recognition.hybrid import NO_STATE, Hybrid, HybridSettings
from foresay.runs import Run
from foresay.workflows.train import run_recipe
from reference.tones import write_words
from reference.toy_states import PRONUNCIATIONS, ToyLevels, ToyStates, spoken

SAID = {"bat at": [0, 0, 3, 3, 1, 2, 2, 4, 5, 0, 1, 2, 4, 4, 5, 0], "tab": [4, 5, 1, 1, 2, 3], "ba ba": [0, 3, 1, 2, 3, 3, 1, 2, 2]}
"""Transcripts, and the states that they are spoken in."""


def hybrid(late: int = 0, lstm: int = 8, dropout: float = 0.0, *, cmvn: bool = False) -> Hybrid:
    torch.manual_seed(0)
    return Hybrid(HybridSettings(cmvn=cmvn, lstm=lstm, dropout=dropout), ToyLevels(late), ToyStates(PRONUNCIATIONS))


def batch(*texts: str) -> Batch:
    waveforms = [spoken(SAID[text])[0] for text in texts]
    padded = torch.nn.utils.rnn.pad_sequence(waveforms, batch_first=True)
    return Batch(texts, padded, torch.tensor([len(one) for one in waveforms]), text=texts)


def test_labels_are_the_states_of_the_transcript() -> None:
    states = hybrid().prepare(batch(*SAID))
    assert [row[row != NO_STATE].tolist() for row in states] == list(SAID.values())


def test_a_frame_has_the_state_of_its_time() -> None:
    """An encoder whose first frame is centred where the HMM's second one is, or a little beside."""
    for late, first in ((160, 1), (200, 1), (60, 0)):
        model = hybrid(late)
        states = model.prepare(batch("bat at"))[0]
        assert states.tolist() == SAID["bat at"][first:][: len(states)]
        assert len(states) == model.frame_count(torch.tensor([16 * 160]), "likelihoods")[0]


def test_loss_is_the_cross_entropy_of_real_frames() -> None:
    model = hybrid(cmvn=True)
    losses = model(batch(*SAID), 0)
    total, right = torch.zeros(()), 0
    for text, states in SAID.items():
        scores = model._scores(ToyLevels().features(spoken(states), torch.tensor([160 * len(states)])).values["levels"], frames_of(states))
        total = total + F.cross_entropy(scores[0], torch.tensor(states), reduction="sum")
        right += int((scores[0].argmax(-1) == torch.tensor(states)).sum())
        assert model(batch(text), 0).terms["states"].count == len(states)
    count = sum(map(len, SAID.values()))
    assert losses.terms["states"].sum.item() == pytest.approx(total.item(), rel=1e-5)
    assert losses.terms["states"].count == count
    assert losses.scalars["accuracy"].item() == pytest.approx(right / count)


def test_audio_that_is_another_in_every_update_is_encoded_anew_and_aligned_as_recorded() -> None:
    model, recorded = hybrid(), batch("bat at")
    whole = model(recorded, 0).terms["states"].sum
    flipped = dataclasses.replace(recorded, waveforms=recorded.audio.waveforms.flip(1), targets=recorded.waveforms)
    assert torch.equal(model.prepare(flipped), model.prepare(recorded))
    assert torch.equal(hybrid().prepare(flipped), model.prepare(recorded))
    assert not torch.allclose(model(flipped, 0).terms["states"].sum, whole)
    torch.testing.assert_close(model(recorded, 0).terms["states"].sum, whole)


def frames_of(states: list[int]) -> Tensor:
    return torch.tensor([len(states)])


def test_priors_are_counted_in_training_alone() -> None:
    model = hybrid()
    for text in ("bat at", "tab", "tab"):
        model.train()(batch(text), 0)
        model.eval()(batch("ba ba"), 0)
        model.after_step(0)
    states = SAID["bat at"] + 2 * SAID["tab"]
    assert model.counted.tolist() == [states.count(state) for state in range(6)]
    waveform, length = spoken(SAID["tab"]), frames_of(SAID["tab"]) * 160
    found = model.features(waveform, length)
    scores = model._scores(ToyLevels().features(waveform, length).values["levels"], length // 160).log_softmax(-1)
    prior = torch.tensor([(1 + states.count(state)) / (6 + len(states)) for state in range(6)]).log()
    assert torch.allclose(found.values["likelihoods"], scores - prior, atol=1e-5)
    assert found.frame_rate == {"likelihoods": 100.0}


def fitted() -> Hybrid:
    model = hybrid(dropout=0.1).train()
    optimizer = torch.optim.Adam((p for p in model.parameters() if p.requires_grad), lr=0.02)
    first = math.inf
    for step in range(60):
        optimizer.zero_grad()
        loss = model(batch(*SAID), step).total()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        model.after_step(step)
        first = min(first, loss.item()) if step else loss.item()
    assert loss.item() < first + 0.3 < 1
    return model.eval()


def test_it_writes_what_it_was_fitted_on_whatever_its_batch_mates() -> None:
    model, given = fitted(), batch(*SAID)
    assert given.waveforms is not None
    assert given.lengths is not None
    with torch.no_grad():
        found = model.features(given.waveforms, given.lengths)
        alone = [model.features(*one.audio).values["likelihoods"] for one in map(batch, SAID)]
    values, lengths = found.values["likelihoods"], found.lengths["likelihoods"]
    for row, one in zip(values, alone, strict=True):
        assert torch.allclose(row[: one.shape[1]], one[0], atol=1e-4)
    decoder = Decoder(model, SearchSettings())
    assert [found[0].text for found in decoder(Encoded(values, lengths))] == list(SAID)
    assert model.pronounce("bat") == [[2, 1, 3]]


def test_its_parts_are_not_trained() -> None:
    model = hybrid()
    model.hmm.train()
    assert not model.train().hmm.training
    assert model.frames_needed("bat at") == model.hmm.frames_needed("bat at")


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UserError, match="the encoder makes 50 frames a second of 16000 Hz, and the HMM 100"):
        Hybrid(HybridSettings(), ToyLevels(frame=320), ToyStates())
    with pytest.raises(UserError, match="no transcripts"):
        hybrid()(Batch(("a",), spoken([1, 2]), torch.tensor([320])), 0)
    with pytest.raises(UserError, match="'tat' is not in the recognizer's lexicon"):
        hybrid()(Batch(("a",), spoken([4, 5, 1, 2, 4, 5]), torch.tensor([960]), text=("tat",)), 0)
    assert hybrid().missing("tab tat") == {"tat": 1}


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_words(tmp_path_factory.mktemp("words") / "train.jsonl", 8)


def trained(words: Path, run: Path, steps: int) -> Path:
    hmm = [f"parts.hmm.{key}" for key in ("states=2", "gaussians=1", "passes=8")]
    own = ["model.lstm=16", "optimizer.lr=0.02", "optimizer.schedule=constant", "optimizer.warmup=0", "trainer.save_every=20"]
    run_recipe("finetune", "hybrid-tiny", words, run, overrides=["parts.encoder=mfcc", *hmm, *own, f"trainer.steps={steps}"])
    return run


@pytest.fixture(scope="module")
def run(words: Path) -> Path:
    return trained(words, words.parent / "run", 40)


def test_a_run_fits_its_hmm_first_and_recognizes_what_it_learnt(run: Path, words: Path) -> None:
    model = load(run)
    assert isinstance(model, Hybrid)
    decoder, manifest = Decoder(model, SearchSettings(beam=100, word_weight=-2.0)), Manifest.open(words)
    found = {one.id: one.text for one in transcribed(decoder, manifest, "cpu")}
    assert sum(found[item.id] == item.text for item in manifest) >= 7
    assert model.counted.sum() > 0


@pytest.fixture(scope="module")
def resumed(words: Path) -> Path:
    return trained(words, trained(words, words.parent / "resumed", 20), 40)


def test_a_resumed_run_equals_one_that_never_stopped(run: Path, resumed: Path) -> None:
    whole, again = (load(one).state_dict() for one in (run, resumed))  # type: ignore[union-attr]
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    assert len(Run(resumed).checkpoints()) > 1
