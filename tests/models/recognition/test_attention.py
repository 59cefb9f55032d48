"""Attention recognizer: hybrid loss, exact resume, batch mates, and a batch learnt by heart is spelled with its times."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch

from foresay.building import build
from foresay.contracts import Batch, Encoded, FeatureExtractor, Hypothesis
from foresay.corpora.manifest import Manifest
from foresay.decoding.alignment import text_scores
from foresay.decoding.search import spelled
from foresay.encoding.search_settings import SearchSettings
from foresay.encoding.searches import Decoder
from foresay.encoding.transcripts import transcribed
from foresay.errors import UserError
from foresay.loading import load
from foresay.models.recognition.attention import AttentionRecognizer, AttentionSettings
from foresay.workflows.train import run_recipe
from reference.tones import write_tones, write_words

SIZES = {"listener": 8, "listener_layers": 2, "halvings": 2, "speller": 10, "embedding": 4, "energies": 6, "filters": 3, "filter_width": 5}
SETTINGS = AttentionSettings(("<blank>", "|", "a", "b", "c"), **SIZES)


HUBERT = {"name": "hubert", "channels": 8, "size": 16, "inner": 32, "layers": 2, "heads": 2, "target_size": 8, "position_kernel": 8}


def recognizer(encoder: FeatureExtractor | None = None, **changed: object) -> AttentionRecognizer:
    torch.manual_seed(0)
    return AttentionRecognizer(dataclasses.replace(SETTINGS, **changed), encoder or load("logmel"))


def batch_of(*texts: str, samples: int = 16_000) -> Batch:
    size = len(texts)
    waveforms = 0.1 * torch.randn(size, samples, generator=torch.Generator().manual_seed(1))
    lengths = torch.tensor([samples - 1600 * row for row in range(size)])
    waveforms *= torch.arange(samples) < lengths[:, None]
    return Batch(tuple(map(str, range(size))), waveforms, lengths, torch.arange(size), text=texts)


def encoded(model: AttentionRecognizer, batch: Batch) -> Encoded:
    with torch.no_grad():
        frames = model.features(*batch.audio)
    return Encoded(frames.values["encoded"], frames.lengths["encoded"])


def found(model: AttentionRecognizer, given: Encoded, beam: int = 1) -> list[Hypothesis]:
    return [first for first, *_ in spelled(model, beam, None)(given, 1)]


def test_the_loss_is_that_of_each_symbol_and_the_end_and_of_ctc() -> None:
    model, batch = recognizer().eval(), batch_of("ab ba", "cab")
    losses, given = model(batch, 0), encoded(model, batch)
    expected, speller = 0.0, model.speller(given)
    for row, text in enumerate(batch.text or ()):
        state, symbols = speller.begin(1), model.spell(text)
        for last, symbol in zip([0, *symbols], [*symbols, 0], strict=True):
            scores, _, state = speller.step(state, torch.full((2, 1), last))
            expected -= float(scores[row, 0, symbol].detach())
    assert float(losses.terms["attention"].sum.detach()) == pytest.approx(expected, rel=1e-4)
    emissions = model.ctc(given)
    assert emissions is not None
    ctc = -float(text_scores(emissions, [model.spell(text) for text in batch.text or ()]).sum().detach())
    assert float(losses.terms["ctc"].sum.detach()) == pytest.approx(ctc, rel=1e-4)
    assert {name: (float(term.count), term.weight) for name, term in losses.terms.items()} == {"attention": (10, 0.7), "ctc": (8, 0.3)}
    assert model.counts(batch, 0) == {"attention": 10, "ctc": 8}


def test_what_is_smoothed_goes_to_all_symbols_alike_and_only_in_training() -> None:
    batch = batch_of("ab ba", "cab")
    model = recognizer(dropout=0.0, sampling=0.0, smoothing=0.2).train()
    given = model.prepare(batch)
    _, scores, _ = model.compute(model._features(batch), given)
    said, real = scores.log_softmax(-1), given.targets >= 0
    right = -said.gather(2, given.targets.clamp(min=0)[..., None])[..., 0][real].sum()
    expected = 0.8 * right - 0.2 * said[real].mean(-1).sum()
    torch.testing.assert_close(model(batch, 0).terms["attention"].sum, expected)
    torch.testing.assert_close(model.eval()(batch, 0).terms["attention"].sum, right)


def test_without_ctc_there_is_none() -> None:
    model, batch = recognizer(ctc=0.0, ctc_search=0.0), batch_of("ab ba", "cab")
    assert set(model(batch, 0).terms) == set(model.counts(batch, 0)) == {"attention"}
    assert model.ctc(encoded(model, batch)) is None
    assert model.frames_needed("aa" * 50) == 1
    assert recognizer().frames_needed("aab") == 4


@pytest.mark.parametrize("beam", [1, 4])
@pytest.mark.parametrize("filters", [0, 3])
def test_transcripts_do_not_depend_on_batch_mates(beam: int, filters: int) -> None:
    model, batch = recognizer(filters=filters).eval(), batch_of("a", "b", "c")
    together = found(model, encoded(model, batch), beam)
    for row, length in enumerate(batch.audio.lengths.tolist()):
        one = Batch(("x",), batch.audio.waveforms[row : row + 1, :length], torch.tensor([length]))
        (alone,) = found(model, encoded(model, one), beam)
        assert alone.tokens == together[row].tokens
        assert alone.score == pytest.approx(together[row].score, abs=1e-3)


def test_attention_is_over_real_frames() -> None:
    model, batch = recognizer().eval(), batch_of("ab ba", "cab")
    for weights, text, count in zip(model.attention(encoded(model, batch), batch.text or ()), ("ab ba", "cab"), (25, 22), strict=True):
        assert weights.shape == (len(text) + 1, count)
        torch.testing.assert_close(weights.sum(-1), torch.ones(len(text) + 1))


def test_frames_are_halved_and_centred() -> None:
    model, logmel = recognizer(), load("logmel")
    waveforms, lengths = batch_of("a").audio
    frames = model.features(waveforms, lengths)
    assert frames.frame_rate["encoded"] == 25.0
    assert frames.values["encoded"].shape == (1, int(logmel.frame_count(lengths, "logmel")) // 4, 16)
    assert model.hop("encoded") == 4 * logmel.hop("logmel")
    assert model.first_center == logmel.first_center + 3 * logmel.hop("logmel") // 2


def test_symbols_of_its_own_and_masks_are_of_training_alone_and_drawn_by_utterance() -> None:
    batch, mute = batch_of("ab ba", "cab"), {"dropout": 0.0, "smoothing": 0.0, "sampling": 0.0}
    plain = recognizer(**mute).train()(batch, 0).terms["attention"].sum
    for changed in ({"sampling": 0.5}, {"masks": "LD"}):
        model = recognizer(**(mute | changed)).train()
        trained = model(batch, 0).terms["attention"].sum
        assert not torch.allclose(trained, plain)
        assert torch.equal(model(batch, 0).terms["attention"].sum, trained)
        torch.testing.assert_close(model.eval()(batch, 0).terms["attention"].sum, plain)
    first, second = recognizer(sampling=0.5).train().prepare(batch).drawn, recognizer(sampling=0.5).train().prepare(batch).drawn
    assert first is not None
    assert second is not None
    assert first.equal(second)
    assert not first[0].equal(first[1])


@pytest.mark.parametrize("freeze", ["encoder", "nothing"])
def test_an_encoder_learns_with_its_own_steps_unless_it_is_frozen(freeze: str) -> None:
    encoder = build(HUBERT | {"position_groups": 2, "layer_drop": 0.0}).eval()
    assert isinstance(encoder, FeatureExtractor)
    model, batch, steps = recognizer(encoder, freeze=freeze, halvings=0, encoder_rate=0.5).train(), batch_of("ab", "cab"), list[int]()
    assert model.encoder.training == (freeze == "nothing")
    encoder.after_step = lambda step: steps.append(step) or {}
    model(batch, 0).total().backward()
    model.after_step(3)
    assert steps == ([] if freeze == "encoder" else [3])
    assert any(p.grad is not None and p.grad.any() for p in encoder.parameters()) == (freeze == "nothing")
    assert model.rate("encoder.", 0) == 0.5
    assert model.rate("", 0) == 1.0


def test_features_of_a_frozen_encoder_are_kept_unless_the_audio_changes_with_every_update() -> None:
    model, batch = recognizer(cmvn=False).eval(), batch_of("ab", "cab")
    louder = dataclasses.replace(batch, waveforms=2 * batch.audio.waveforms)
    first = model(batch, 0).total()
    assert torch.equal(model(louder, 0).total(), first)  # known by their ids
    assert not torch.allclose(model(dataclasses.replace(louder, targets=batch.waveforms), 0).total(), first)


def recipe(folder: Path, **model: object) -> Path:
    table = {"listener": 24, "listener_layers": 1, "halvings": 1, "speller": 32, "embedding": 8, "energies": 16, "filters": 4}
    table |= {"filter_width": 5, "dropout": 0.0, "sampling": 0.0} | model
    lines = "\n".join(f"{name} = {json.dumps(value)}" for name, value in table.items())
    path = folder / "las-test.toml"
    data = 'sampler = "transcripts"\nseconds = 20.0\nlongest = 20.0\nshortest = 0.3'
    trained = "[trainer]\nsteps = 5\nclip = 5.0\nsave_every = 1000"
    optimizer = 'name = "adamw"\nlr = 1e-2\nwarmup = 0.0'
    parts = 'encoder = "logmel"'
    path.write_text(f'[model]\nname = "attention"\n{lines}\n[parts]\n{parts}\n[data]\n{data}\n[optimizer]\n{optimizer}\n{trained}\n')
    return path


def test_a_run_that_was_cut_goes_on_bit_for_bit(tmp_path: Path) -> None:
    corpus, path = write_tones(tmp_path / "train.jsonl", 6), recipe(tmp_path, dropout=0.2, sampling=0.3, masks="LD")
    for name in ("whole", "cut"):
        run_recipe("finetune", path, corpus, tmp_path / name, overrides=["trainer.save_every=2", "trainer.steps=4"])
    shutil.rmtree(tmp_path / "cut" / "checkpoints" / "step-000004")
    run_recipe("finetune", path, corpus, tmp_path / "cut", overrides=["trainer.save_every=2", "trainer.steps=4"])
    whole, cut = (load(tmp_path / name).state_dict() for name in ("whole", "cut"))
    assert all(cut[name].equal(weights) for name, weights in whole.items())


@pytest.mark.slow
def test_a_batch_learnt_by_heart_is_spelled_with_its_words_in_order(tmp_path: Path) -> None:
    corpus = write_words(tmp_path / "train.jsonl", 6)
    run_recipe("finetune", recipe(tmp_path), corpus, tmp_path / "run", overrides=["trainer.steps=250"])
    manifest, model = Manifest.open(corpus), load(tmp_path / "run")
    assert isinstance(model, AttentionRecognizer)
    items = {item.id: item for item in manifest}
    for settings in (SearchSettings(), SearchSettings(beam=5)):
        for one in transcribed(Decoder(model, settings), manifest, "cpu"):
            assert one.text == items[one.id].text
            edges = [edge for word in one.words for edge in (word.start, word.end)]  # where it attends to what it knows by heart is free
            assert [word.text for word in one.words] == one.text.split()
            assert all(0 <= word.start < word.end <= one.duration for word in one.words)
            assert edges[::2] == sorted(edges[::2])


def test_what_cannot_be_is_explained(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="takes a CTC that was trained"):
        AttentionSettings(ctc=0.0)
    with pytest.raises(UserError, match="is to be odd"):
        AttentionSettings(filter_width=4)
    with pytest.raises(UserError, match="symbols is empty"):
        AttentionRecognizer(AttentionSettings(), load("logmel"))
    with pytest.raises(UserError, match="no transcripts, which the speller learns from"):
        recognizer()(dataclasses.replace(batch_of("a"), text=None), 0)
    corpus = write_tones(tmp_path / "train.jsonl", 4)
    with pytest.raises(UserError, match=r"--set data\.sampler=transcripts"):
        run_recipe("finetune", recipe(tmp_path), corpus, tmp_path / "run", overrides=["data.sampler=utterances"])
