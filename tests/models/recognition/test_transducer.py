"""Transducer on any encoder: its loss is that of its lattice, memory bounds it and changes nothing, it learns, and goes on bit for bit."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch

from foresay.building import build
from foresay.contracts import Batch, Encoded, Hypothesis
from foresay.corpora.manifest import Manifest
from foresay.corpora.plans.windows import DataSettings
from foresay.encoding.search_settings import SearchSettings
from foresay.encoding.searches import Decoder
from foresay.errors import UserError
from foresay.loading import load
from foresay.models.recognition.transducer import Transducer, TransducerSettings
from foresay.objectives.transducer import arc_posteriors, transducer_loss
from foresay.workflows.labelled import read_labelled
from foresay.workflows.train import run_recipe
from foresay.workflows.transcribe import transcribe
from reference.tones import write_tones
from reference.transducer_loops import double_loop

SYMBOLS = ("<blank>", "|", "a", "b", "c")
SETTINGS = TransducerSettings(SYMBOLS, prediction=16, joint=24, lstm=12, stack=4, cmvn=True)
HUBERT = {"name": "hubert", "channels": 8, "size": 16, "inner": 32, "layers": 1, "heads": 2, "target_size": 8, "position_kernel": 8}
HUBERT |= {"position_groups": 2, "layer_drop": 0.0}
PRUNED = {"objective": "pruned-transducer", "objective_options": {"positions": 2, "warmup": 10}}
KINDS = [{}, {"predictor": "lstm", "lstm": 0, "stack": 3, "cmvn": False}]


def recognizer(**changed: object) -> Transducer:
    torch.manual_seed(0)
    return Transducer(dataclasses.replace(SETTINGS, **changed), load("logmel"))  # type: ignore[arg-type]


def batch_of(*texts: str, samples: int = 8_000) -> Batch:
    size = len(texts)
    waveforms = 0.1 * torch.randn(size, samples, generator=torch.Generator().manual_seed(1))
    lengths = torch.tensor([samples - 1600 * row for row in range(size)])
    waveforms *= torch.arange(samples) < lengths[:, None]
    return Batch(tuple(map(str, range(size))), waveforms, lengths, torch.arange(size), text=texts)


def encoded(model: Transducer, batch: Batch) -> Encoded:
    frames = model.features(*batch.audio)
    return Encoded(frames.values["encoded"], frames.lengths["encoded"])


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_is_that_of_two_loops_by_symbols(kind: dict[str, object]) -> None:
    model, batch = recognizer(**kind).eval(), batch_of("ab ba", "", "cab")
    losses, given = model(batch, 0), encoded(model, batch)
    logits, labels, counts = model.logits(given, batch.text or ())
    assert counts.tolist() == [5, 0, 3]
    assert losses.terms["transducer"].count == model.counts(batch, 0)["transducer"] == 8
    expected = [
        double_loop(scores[:frames, : count + 1], row[:count].tolist())
        for scores, row, frames, count in zip(logits.log_softmax(-1), labels, given.lengths.tolist(), counts.tolist(), strict=True)
    ]
    torch.testing.assert_close(losses.terms["transducer"].sum, torch.stack(expected).sum(), rtol=1e-4, atol=1e-3)
    assert arc_posteriors(logits, labels, given.lengths, counts).label.sum().item() == pytest.approx(8, abs=1e-3)


@pytest.mark.parametrize("kind, count", [({}, 3), (PRUNED, 4)])
def test_parts_that_fit_in_memory_change_nothing(kind: dict[str, object], count: int) -> None:
    batch = batch_of("ab ba", "c", "cab", "a")
    found = {}
    for name in ("whole", "parts"):
        model = recognizer(**kind)
        frames, counts = model.frame_count(batch.audio.lengths, "encoded"), torch.tensor([5, 1, 3, 1])
        two = model.joint_bytes(frames[:1], counts[:1]) * 1.01 / 1e9
        model = recognizer(memory=1.0 if name == "whole" else two, **kind)
        assert len(model.prepare(batch).parts) == (1 if name == "whole" else count)
        losses = model(batch, 0)
        losses.total().backward()
        assert float(losses.scalars["joint_gb"]) <= (1.0 if name == "whole" else two)
        found[name] = [*(term.sum for term in losses.terms.values()), *(p.grad for p in model.parameters() if p.grad is not None)]
    for whole, parts in zip(found["whole"], found["parts"], strict=True):
        torch.testing.assert_close(whole, parts, rtol=1e-4, atol=1e-5)


def test_an_utterance_that_does_not_fit_is_refused_before_it_is_computed() -> None:
    model = recognizer(memory=1e-6)
    with pytest.raises(
        UserError,
        match=r"12 frames and 3 symbols takes 0\.00 GB .* model\.memory is 1e-06 GB\. .*model\.objective=pruned-transducer.*model\.stack",
    ):
        model.prepare(batch_of("abc"))
    nodes = 3 * 471 * 21  # of three utterances
    large = recognizer(joint=1)
    assert large.joint_bytes(torch.tensor([471, 1, 1]), torch.tensor([20, 1, 1])) == 4 * nodes * (2 * 5 + 3)


def brief(found: list[list[Hypothesis]]) -> list[list[tuple[str, tuple[int, ...]]]]:
    return [[(one.text, one.frames) for one in hypotheses] for hypotheses in found]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("beam", [None, 4])
def test_transcripts_do_not_depend_on_batch_mates(kind: dict[str, object], beam: int | None) -> None:
    model, batch = recognizer(**kind).eval(), batch_of("a", "b", "c", samples=5_000)
    search = Decoder(model, SearchSettings(beam=beam))
    together = search(encoded(model, batch), 2)
    for row, length in enumerate(batch.audio.lengths.tolist()):
        frames = model.features(batch.audio.waveforms[row : row + 1, :length], torch.tensor([length]))
        alone = search(Encoded(frames.values["encoded"], frames.lengths["encoded"]), 2)
        assert brief(alone) == brief(together[row : row + 1])


def test_a_pruned_one_counts_both_losses_and_lowers_that_of_the_whole_lattice() -> None:
    model, batch = recognizer(**PRUNED, lstm=0).train(), batch_of("ab", "ca b", samples=5_000)

    @torch.no_grad()
    def whole() -> float:
        given = encoded(model, batch)
        logits, labels, counts = model.logits(given, batch.text or ())
        return float(transducer_loss(logits, labels, given.lengths, counts).sum())

    before, first = whole(), model(batch, 0)
    assert {name: (term.count, term.weight) for name, term in first.terms.items()} == {"transducer": (6, 0.1), "simple": (6, 1.0)}
    assert model.counts(batch, 0) == {"transducer": 6, "simple": 6}
    assert float(first.scalars["simple"]) == pytest.approx(first.terms["simple"].sum.item() / 6)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
    for step in range(30):
        optimizer.zero_grad()
        model(batch, step).total().backward()
        optimizer.step()
    assert whole() < before / 5
    assert [model.frames_needed(text) for text in ("", "ab", "ca b")] == [1, 2, 4]
    with pytest.raises(UserError, match="a text of 4 symbols does not fit into 3 frames"):
        model(batch_of("ca b", samples=2_200), 0)
    with pytest.raises(UserError, match="unknown option model.objective_options.position "):
        recognizer(objective="pruned-transducer", objective_options={"position": 2})
    with pytest.raises(UserError, match="there is no objective 'pruned'"):
        recognizer(objective="pruned")


@pytest.mark.parametrize("kind", [{}, {"predictor": "lstm", "fast_emit": 0.01}])
def test_it_learns_a_batch_and_writes_it(kind: dict[str, object]) -> None:
    model, batch = recognizer(**kind).train(), batch_of("ab", "ca b", samples=5_000)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
    for step in range(60):
        loss = model(batch, step).total()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05
    model.eval()
    for settings in (SearchSettings(), SearchSettings(beam=4)):
        found = Decoder(model, settings)(encoded(model, batch), 1)
        assert [hypotheses[0].text for hypotheses in found] == ["ab", "ca b"]


@pytest.mark.parametrize("freeze", ["encoder", "nothing"])
def test_an_encoder_that_is_frozen_stays_and_another_learns(freeze: str) -> None:
    torch.manual_seed(0)
    encoder = build(HUBERT)
    model = Transducer(dataclasses.replace(SETTINGS, freeze=freeze), encoder).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    batch, steps = batch_of("ab", "cab"), []
    encoder.after_step = lambda step: steps.append(step) or {}
    model(batch, 0).total().backward()
    optimizer.step()
    model.after_step(0)
    assert steps == ([] if freeze == "encoder" else [0])
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert any(name.startswith("encoder.") for name in moved) == (freeze == "nothing")
    assert any(name.startswith("joint.") for name in moved)


def test_features_of_a_frozen_encoder_are_kept_unless_the_audio_changes_with_every_update() -> None:
    model, batch = recognizer(cmvn=False).eval(), batch_of("ab", "cab")
    louder = dataclasses.replace(batch, waveforms=2 * batch.audio.waveforms)
    first = model(batch, 0).total()
    assert torch.equal(model(louder, 0).total(), first)  # known by their ids
    assert not torch.allclose(model(dataclasses.replace(louder, targets=batch.waveforms), 0).total(), first)


def recipe(folder: Path, **model: object) -> Path:
    settings = {"name": "transducer", "prediction": 16, "joint": 16, "stack": 4, "lstm": 8, **model}
    (folder / "recipe.toml").write_text(
        "[model]\n"
        + "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())
        + '[data]\nsampler = "transcripts"\nseconds = 6\nshortest = 0.3\n[trainer]\nsteps = 4\n[parts]\nencoder = "logmel"\n'
    )
    return folder / "recipe.toml"


def test_a_run_that_was_cut_goes_on_bit_for_bit_and_transcribes(tmp_path: Path) -> None:
    corpus, path = write_tones(tmp_path / "train.jsonl", 6), recipe(tmp_path, dropout=0.2)
    for name in ("whole", "cut"):
        run_recipe("finetune", path, corpus, tmp_path / name, overrides=["trainer.save_every=2"])
    shutil.rmtree(tmp_path / "cut" / "checkpoints" / "step-000004")
    run_recipe("finetune", path, corpus, tmp_path / "cut", overrides=["trainer.save_every=2"])
    whole, cut = (load(tmp_path / name) for name in ("whole", "cut"))
    for name, weights in whole.state_dict().items():
        assert torch.equal(cut.state_dict()[name], weights), name
    assert len(list(transcribe(whole, corpus))) == 6


def test_what_cannot_be_is_explained(tmp_path: Path) -> None:
    corpus, path = write_tones(tmp_path / "train.jsonl", 4), recipe(tmp_path)
    for override, message in (
        ("model.layer=L9", "has no layer 'L9'"),
        ("model.memory=0", "memory must be above 0"),
        ("model.memory=1e-7", "in the joint network, and model.memory is 1e-07 GB"),
        ("model.normalization=nonesuch", "no normalization 'nonesuch'"),
    ):
        with pytest.raises(UserError, match=message):
            run_recipe("finetune", path, corpus, tmp_path / "run", overrides=[override])
    assert not (tmp_path / "run").exists()  # it is said before anything is begun
    letters = Transducer(TransducerSettings(("<blank>", "|", *"abcd"), memory=1e-7), load("logmel"))
    short = DataSettings(shortest=0.1, longest=0.5)  # what is too long is left out, whatever it would take
    read_labelled(letters, Manifest.open(corpus), short, "train")
    with pytest.raises(UserError, match=r"model\.symbols is empty"):
        Transducer(TransducerSettings(), load("logmel"))
    with pytest.raises(UserError, match="no transcripts, which a transducer learns from"):
        recognizer()(dataclasses.replace(batch_of("a"), text=None), 0)
