"""CTC on any encoder: its loss is the sum over all alignments, it freezes and masks what it should, and it learns."""

import dataclasses
import json
import math
import shutil
from pathlib import Path

import pytest
import torch

from foresay.building import build
from foresay.contracts import Batch, Emissions, FeatureExtractor, MaskableExtractor, Masks
from foresay.corpora.manifest import Manifest
from foresay.decoding.alignment import text_scores
from foresay.decoding.greedy import best_path
from foresay.errors import UserError
from foresay.layers.dropout import Dropout
from foresay.loading import load
from foresay.models.recognition.ctc import CTC, CTCSettings
from foresay.statistics.edit_distance import edit_distance
from foresay.workflows.train import never_trained, run_recipe
from foresay.workflows.transcribe import transcribe
from reference.tones import write_tones

SYMBOLS = ("<blank>", "|", "a", "b", "c")
HUBERT = {"name": "hubert", "channels": 8, "size": 16, "inner": 32, "layers": 2, "heads": 2, "target_size": 8, "position_kernel": 8}
HUBERT |= {"position_groups": 2, "layer_drop": 0.0, "dropout": 0.0, "attention_dropout": 0.0, "input_dropout": 0.0, "norm": "layer"}
SETTINGS = CTCSettings(SYMBOLS, freeze_updates=0)


def recognizer(encoder: FeatureExtractor | None = None, **changed: object) -> CTC:
    torch.manual_seed(0)
    return CTC(dataclasses.replace(SETTINGS, **changed), encoder or build(HUBERT).eval())


def batch_of(*texts: str, samples: int = 16_000) -> Batch:
    size = len(texts)
    waveforms = 0.1 * torch.randn(size, samples, generator=torch.Generator().manual_seed(1))
    lengths = torch.tensor([samples - 1600 * row for row in range(size)])
    waveforms *= torch.arange(samples) < lengths[:, None]
    return Batch(tuple(map(str, range(size))), waveforms, lengths, torch.arange(size), text=texts)


def test_the_loss_is_the_sum_over_all_alignments_by_symbols() -> None:
    model, batch = recognizer().eval(), batch_of("ab ba", "cab", "aab")
    losses = model(batch, 0)
    labels = [model.spell(text) for text in batch.text or ()]
    expected = -text_scores(model.emissions(*batch.audio), labels).sum()
    torch.testing.assert_close(losses.terms["ctc"].sum, expected, rtol=1e-4, atol=1e-3)
    assert losses.terms["ctc"].count == sum(map(len, labels)) == model.counts(batch, 0)["ctc"] == 11
    shares = [labels_of / 11 for labels_of in (5, 4, 1, 1)]  # a, b, c, |
    assert float(losses.scalars["symbol_entropy"]) == pytest.approx(-sum(share * math.log(share) for share in shares))


def test_what_has_too_few_frames_for_its_text_is_counted_and_not_learnt_from() -> None:
    model = recognizer().eval()
    fits = model(batch_of("ab"), 0)
    both = model(dataclasses.replace(batch_of("ab", "ab"), text=("ab", "abc" * 40)), 0)
    assert float(both.scalars["infeasible"]) == 0.5
    torch.testing.assert_close(both.terms["ctc"].sum, fits.terms["ctc"].sum, rtol=1e-4, atol=1e-3)
    assert both.terms["ctc"].count == 2


@pytest.mark.parametrize("more", [{}, {"lstm": 6, "lstm_layers": 2, "cmvn": True, "stack": 2}])
def test_transcripts_do_not_depend_on_batch_mates(more: dict[str, object]) -> None:
    model, batch = recognizer(**more).eval(), batch_of("a", "b", "c")
    together = best_path(model.emissions(*batch.audio), model.text_of)
    for row, length in enumerate(batch.audio.lengths.tolist()):
        alone = model.emissions(batch.audio.waveforms[row : row + 1, :length], torch.tensor([length]))
        (found,) = best_path(alone, model.text_of)
        assert found.text == together[row].text
        assert found.score == pytest.approx(together[row].score, abs=1e-2)


def test_a_frozen_encoder_has_no_dropout_and_its_features_are_what_is_masked() -> None:
    noisy = HUBERT | {"dropout": 0.4, "attention_dropout": 0.4}
    quiet = {"freeze": "encoder", "mask_probability": 0.0, "channel_probability": 0.0}
    model, batch = recognizer(build(noisy), **quiet), batch_of("ab ba", "cab")
    trained, evaluated = model.train()(batch, 0), model.eval()(batch, 0)
    assert not model.train().encoder.training
    torch.testing.assert_close(trained.terms["ctc"].sum, evaluated.terms["ctc"].sum, rtol=1e-4, atol=1e-3)
    masked = recognizer(build(noisy), freeze="encoder", mask_probability=0.3, channel_probability=0.1, channel_length=2).train()
    given, labels = masked.prepare(batch, 0), [masked.spell(text) for text in batch.text or ()]
    assert given.clips.masks is not None
    frames, channels, _ = given.clips.masks
    features = masked.encoder.features(*batch.audio).values[masked.layers[0]]
    assert masked.mask_vector is not None
    assert not masked.mask_vector.any()
    with torch.no_grad():
        masked.mask_vector.normal_()
    vector = masked.mask_vector.detach().expand_as(features)
    scores = masked.head(torch.where(frames[..., None], vector, features).masked_fill(channels[:, None], 0.0)).log_softmax(-1)
    expected = -text_scores(Emissions(scores, given.frames), labels).sum()
    torch.testing.assert_close(masked(batch, 0).terms["ctc"].sum, expected, rtol=1e-4, atol=1e-3)


def test_a_mask_vector_is_learnt_where_the_encoder_has_none() -> None:
    model = recognizer(build(NORMED), mask_probability=0.1)
    sum(term.sum for term in model.train()(batch_of("ab", "ca"), 0).terms.values()).backward()  # type: ignore[union-attr]
    assert model.mask_vector is not None
    assert model.mask_vector.grad is not None
    assert model.mask_vector.grad.any()
    assert recognizer(build(NORMED), mask_probability=0.0, channel_probability=0.1).mask_vector is not None  # channels by 0, not by a mean
    for other in (
        recognizer(),
        recognizer(build(NORMED), mask_probability=0.0, channel_probability=0.0),
        recognizer(load("logmel"), masks="LD"),
    ):
        assert other.mask_vector is None


def test_masks_are_of_training_alone_and_no_mask_changes_nothing() -> None:
    model, batch = recognizer(mask_probability=0.0, channel_probability=0.0), batch_of("ab ba", "cab")
    trained, evaluated = model.train()(batch, 0), model.eval()(batch, 0)
    torch.testing.assert_close(trained.terms["ctc"].sum, evaluated.terms["ctc"].sum, rtol=1e-4, atol=1e-3)
    masked = recognizer(mask_probability=0.3)
    assert not torch.allclose(masked.train()(batch, 0).terms["ctc"].sum, evaluated.terms["ctc"].sum, rtol=1e-3)
    torch.testing.assert_close(masked.eval()(batch, 0).terms["ctc"].sum, evaluated.terms["ctc"].sum, rtol=1e-4, atol=1e-3)


def test_a_masked_frame_is_the_mask_vector_and_a_masked_channel_zero() -> None:
    encoder = build(HUBERT).eval()
    assert isinstance(encoder, MaskableExtractor)
    waveforms, lengths = batch_of("a").audio
    count = int(encoder.frame_count(lengths, "L0"))
    everything, nothing = torch.ones(1, count, dtype=torch.bool), torch.zeros(1, 16, dtype=torch.bool)
    other = 0.1 * torch.randn_like(waveforms)
    one, two = (encoder.masked_features(w, lengths, Masks(everything, nothing), ("L2",))["L2"] for w in (waveforms, other))
    torch.testing.assert_close(one, two)  # of the audio nothing is left
    channels = nothing.clone()
    channels[:, 3:5] = True
    seen = []
    encoder.position.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach().clone()))
    encoder.masked_features(waveforms, lengths, Masks(~everything, channels), ("L1",))
    encoder.masked_features(waveforms, lengths, Masks(~everything, nothing), ("L1",))
    assert not seen[0][..., 3:5].any()
    torch.testing.assert_close(seen[0][..., 5:], seen[1][..., 5:])


@pytest.mark.parametrize("freeze, moving", [("nothing", {"front", "rest"}), ("convolutions", {"rest"}), ("encoder", set())])
def test_what_is_frozen_stays(freeze: str, moving: set[str], tmp_path: Path) -> None:
    corpus = write_tones(tmp_path / "train.jsonl", 12)
    path = _recipe(tmp_path, freeze=freeze, freeze_updates=2)
    run_recipe("finetune", path, corpus, tmp_path / "frozen", overrides=["trainer.steps=2"])
    run_recipe("finetune", path, corpus, tmp_path / "thawed", overrides=["trainer.steps=3"])
    before, frozen, thawed = (
        m.state_dict() for m in (_untrained(path, corpus, tmp_path), load(tmp_path / "frozen"), load(tmp_path / "thawed"))
    )
    for name in before:
        kind = "head" if name.startswith("head") else "front" if ".convolutions." in name else "rest"
        assert torch.equal(before[name], frozen[name]) == (kind != "head"), name
        if kind != "rest":  # some of the rest takes no part in the last layer
            assert torch.equal(frozen[name], thawed[name]) == (kind != "head" and kind not in moving), name
    changed = any(not torch.equal(frozen[n], thawed[n]) for n in before if n.startswith("encoder.transformer"))
    assert changed == ("rest" in moving)


def test_a_run_that_was_cut_in_the_frozen_phase_goes_on_bit_for_bit(tmp_path: Path) -> None:
    corpus, path = write_tones(tmp_path / "train.jsonl", 12), _recipe(tmp_path, freeze="nothing", freeze_updates=3)
    for name in ("whole", "cut"):
        run_recipe("finetune", path, corpus, tmp_path / name, overrides=["trainer.save_every=2"])
    for step in (4, 5):
        shutil.rmtree(tmp_path / "cut" / "checkpoints" / f"step-{step:06}", ignore_errors=True)
    run_recipe("finetune", path, corpus, tmp_path / "cut", overrides=["trainer.save_every=2"])
    whole, cut = (load(tmp_path / name).state_dict() for name in ("whole", "cut"))
    for name, weights in whole.items():
        torch.testing.assert_close(cut[name], weights, rtol=0, atol=0)


@pytest.fixture(scope="module", params=["right", "shuffled"])
def learnt(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, float]:
    """Train a line through a spectrogram on tones, with their texts or with those of others; return its error rate."""
    folder = tmp_path_factory.mktemp(request.param)
    corpus = write_tones(folder / "train.jsonl", 8)
    lines = [json.loads(line) for line in corpus.read_text().splitlines()]
    texts = [line["text"] for line in lines if "text" in line]
    given = folder / "given.jsonl"
    turned = iter(texts if request.param == "right" else texts[1:] + texts[:1])
    given.write_text("".join(json.dumps(line | ({"text": next(turned)} if "text" in line else {})) + "\n" for line in lines))
    run_recipe("finetune", _recipe(folder, encoder="logmel", units="phones", steps=100, lr=0.2), given, folder / "run")
    return request.param, _errors(load(folder / "run"), corpus)


def test_it_learns_the_language_of_tones_and_not_what_is_shuffled(learnt: tuple[str, float]) -> None:
    how, errors = learnt
    assert errors < 0.05 if how == "right" else errors > 0.4


@pytest.mark.parametrize(
    "override, message",
    [
        ("data.sampler=utterances", r"--set data\.sampler=transcripts"),
        ("model.layer=L9", "has no layer 'L9'"),
        ("parts.encoder=pixels", "must be a FeatureExtractor"),
        ('model.symbols=["<blank>", "a"]', r"symbols that the vocabulary lacks: 'c' \(36\), 'b' \(27\)"),
        ("model.normalization=nonesuch", "no normalization 'nonesuch'"),
        ("model.mask_probability=2.0", "is a share"),
    ],
)
def test_what_cannot_be_is_explained(override: str, message: str, tmp_path: Path) -> None:
    corpus, path = write_tones(tmp_path / "train.jsonl", 12), _recipe(tmp_path, units="phones")
    with pytest.raises(UserError, match=message):
        run_recipe("finetune", path, corpus, tmp_path / "run", overrides=[override])


def test_texts_are_needed(tmp_path: Path) -> None:
    corpus, path = write_tones(tmp_path / "train.jsonl", 12), _recipe(tmp_path)
    lines = [json.loads(line) for line in corpus.read_text().splitlines()]
    corpus.write_text("".join(json.dumps({k: v for k, v in line.items() if k != "text"}) + "\n" for line in lines))
    with pytest.raises(UserError, match="no text to make a vocabulary of"):
        run_recipe("finetune", path, corpus, tmp_path / "run")
    with pytest.raises(UserError, match="model.symbols is empty"):
        CTC(CTCSettings(), load("mfcc"))
    with pytest.raises(UserError, match="no transcripts, which CTC learns from"):
        recognizer()(dataclasses.replace(batch_of("a"), text=None), 0)


@pytest.mark.parametrize("frozen", [{"freeze": "encoder"}, {"freeze_updates": 5}])
def test_weights_of_layers_are_learnt_though_the_encoder_is_frozen(frozen: dict[str, object]) -> None:
    model = recognizer(layer="sum", **frozen)
    model.train()(batch_of("ab ba", "cab"), 0).total().backward()
    assert model.layer_weights is not None
    assert model.layer_weights.grad is not None
    assert model.layer_weights.grad.any()
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in model.encoder.parameters())


def test_stacked_frames_halve_the_rate_and_summed_layers_begin_equal() -> None:
    model = recognizer(load("logmel"), stack=2)
    waveforms, lengths = batch_of("a").audio
    found = model.features(waveforms, lengths)
    assert found.frame_rate["emissions"] == 50.0
    assert (
        found.values["emissions"].shape[1] == int(found.lengths["emissions"][0]) == int(load("logmel").frame_count(lengths, "logmel")) // 2
    )
    encoder = build(HUBERT).eval()
    summed = recognizer(encoder, layer="sum").eval()
    layers = encoder.features(waveforms, lengths).values
    expected = summed.head(torch.stack([layers[name] for name in ("L0", "L1", "L2")]).mean(0)).log_softmax(-1)
    torch.testing.assert_close(summed.features(waveforms, lengths).values["emissions"], expected)


MEL = {"name": "best-rq", "bands": 8, "subsampling_channels": [4, 4], "size": 16, "inner": 16, "layers": 2, "heads": 2, "dropout": 0.0}
MEL |= {"attention_dropout": 0.0}


@pytest.mark.parametrize("table", [HUBERT, MEL])
def test_with_masks_of_nothing_an_encoder_gives_its_features(table: dict[str, object]) -> None:
    encoder = build(table).eval()
    assert isinstance(encoder, MaskableExtractor)
    waveforms, lengths = batch_of("a", "b", "c").audio
    masks = Masks(torch.zeros(3, int(encoder.masked_frames(lengths).max())) > 0, torch.zeros(3, encoder.masked_size) > 0)
    found, expected = encoder.masked_features(waveforms, lengths, masks, ("L1", "L2")), encoder.features(waveforms, lengths)
    for layer in ("L1", "L2"):
        for row, count in enumerate(expected.lengths[layer].tolist()):
            torch.testing.assert_close(found[layer][row, :count], expected.values[layer][row, :count], atol=1e-4, rtol=1e-4)


def test_a_masked_spectrogram_is_its_mean() -> None:
    encoder = build(MEL).eval()
    assert isinstance(encoder, MaskableExtractor)
    waveforms, lengths = batch_of("a").audio
    count = int(encoder.masked_frames(lengths))
    assert count == 4 * int(encoder.frame_count(lengths, "L0")) == 100
    given = []
    encoder.subsampling.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0].detach().clone()))
    frames, bands = torch.zeros(1, count, dtype=torch.bool), torch.zeros(1, 8, dtype=torch.bool)
    encoder.masked_features(waveforms, lengths, Masks(frames, bands), ("L1",))
    frames[:, 20:30], bands[:, 2:4] = True, True
    encoder.masked_features(waveforms, lengths, Masks(frames, bands), ("L1",))
    assert not given[1][:, 20:30].any()
    assert not given[1][..., 2:4].any()
    torch.testing.assert_close(given[1][:, :20, 4:], given[0][:, :20, 4:])
    assert abs(float(given[0].mean())) < 1e-4  # so that 0 is the mean


def test_what_is_masked_of_made_features_is_their_mean_by_a_policy() -> None:
    model = recognizer(load("logmel"), masks="LD", mask_probability=0.9).train()
    given: list[torch.Tensor] = []
    model.head.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0].detach().clone()))
    batch = batch_of("ab", "ba")
    model(batch, 0)
    model.eval()(batch, 0)
    masked, plain = given
    changed = masked != plain
    for row, count in enumerate(model.frame_count(batch.audio.lengths, "emissions").tolist()):
        mean = plain[row, :count].mean(0)
        torch.testing.assert_close(
            masked[row, :count][changed[row, :count]], mean.expand(count, -1)[changed[row, :count]], rtol=1e-4, atol=1e-4
        )
    assert 0 < changed.double().mean() < 1


def test_blocks_are_left_out_and_inner_activations_dropped_in_fine_tuning() -> None:
    encoder = build(HUBERT | {"layer_drop": 0.9, "dropout": 0.9, "attention_dropout": 0.9, "input_dropout": 0.9})
    model = recognizer(encoder, layer_drop=0.5, activation_dropout=0.2, encoder_dropout=0.1).train()
    dropouts = {name: module.p for name, module in model.encoder.named_modules() if isinstance(module, Dropout)}
    assert {name for name, p in dropouts.items() if p == 0.2} == {f"transformer.blocks.{n}.feed_forward.2" for n in (0, 1)}
    assert {p for name, p in dropouts.items() if "feed_forward" not in name} == {0.1}
    short = batch_of("a", samples=4_000)
    kept = [model.prepare(short, step).clips.kept for step in range(200)]
    share = torch.stack([one for one in kept if one is not None]).double().mean()
    assert len(kept) == 200
    assert abs(float(share) - 0.5) < 0.1
    again = model.prepare(batch_of("b", "a"), 3).clips.kept
    assert again is not None
    assert torch.equal(again, torch.as_tensor(kept[3]))  # it is the update's, whatever the batch
    assert model.eval().prepare(batch_of("a"), 0).clips.kept is None


def test_without_blocks_a_layer_is_what_they_are_given() -> None:
    model = recognizer(layer_drop=1.0, activation_dropout=0.0, mask_probability=0.0, channel_probability=0.0).train()
    batch = batch_of("ab", "ba")
    given: list[torch.Tensor] = []
    model.head.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0].detach().clone()))
    model(batch, 0)
    count = int(model.encoder.frame_count(batch.audio.lengths, "L0").min())
    torch.testing.assert_close(
        given[0][:, :count], model.encoder.eval().features(*batch.audio, ("L0",)).values["L0"][:, :count], rtol=1e-4, atol=1e-4
    )


NORMED = {"name": "cpc", "channels": 8, "context_size": 8, "norm": "batch", "predictor": "linear"}


def _averages(model: CTC) -> list[torch.Tensor]:
    return [tensor.clone() for name, tensor in model.state_dict().items() if "running_" in name]


@pytest.mark.parametrize("changed", [{"freeze": "convolutions"}, {"freeze": "encoder"}, {"freeze": "nothing", "freeze_updates": 9}])
def test_batch_norms_that_are_not_trained_stay_what_they_were(changed: dict[str, object]) -> None:
    quiet = {"mask_probability": 0.0, "channel_probability": 0.0}
    model, batch = recognizer(build(NORMED), **quiet, **changed), batch_of("ab ba", "cab")
    before, evaluated = _averages(model), model.eval()(batch, 8)
    torch.testing.assert_close(model.train()(batch, 8).terms["ctc"].sum, evaluated.terms["ctc"].sum)
    model.after_step(8)
    assert before
    assert all(map(torch.equal, before, _averages(model)))


def test_an_encoder_that_thaws_too_late_is_named() -> None:
    model = recognizer(freeze="nothing", freeze_updates=5)
    assert never_trained(model, 6) == []
    (note,) = never_trained(model, 5)
    count = sum(parameter.numel() for parameter in model.encoder.parameters())  # type: ignore[attr-defined]
    assert note.startswith(f"{count:,} parameters of `encoder` are not trained: they are frozen in all 5 updates")
    assert never_trained(recognizer(freeze="encoder"), 5) == []


def test_batch_norms_that_are_trained_come_to_normalize_by_what_they_met() -> None:
    model, batch = recognizer(build(NORMED), freeze="nothing", mask_probability=0.0, channel_probability=0.0), batch_of("ab", samples=4000)
    met: dict[torch.nn.Module, torch.Tensor] = {}
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm1d)]
    for norm in norms:
        norm.register_forward_pre_hook(lambda module, given: met.update({module: given[0].flatten(0, -2)}))
    with torch.no_grad():
        for step in range(60):
            model.train()(batch, step)
            model.after_step(step)
    assert norms
    for norm in norms:  # what is left of the beginning is 0.9^60 of it
        torch.testing.assert_close(norm.running_mean, met[norm].mean(0), rtol=5e-3, atol=5e-3)
        torch.testing.assert_close(norm.running_var, met[norm].var(0), rtol=5e-3, atol=5e-3)


def test_features_of_audio_that_is_another_in_every_update_are_not_kept() -> None:
    model, batch = recognizer(freeze="encoder", mask_probability=0.0, channel_probability=0.0).train(), batch_of("ab")
    recorded, other = batch.audio.waveforms, batch.audio.waveforms.flip(1)
    first, second = (model(dataclasses.replace(batch, waveforms=one, targets=recorded), 0).terms["ctc"].sum for one in (recorded, other))
    assert not torch.allclose(first, second)
    kept, again = (model(dataclasses.replace(batch, waveforms=one), 0).terms["ctc"].sum for one in (recorded, other))
    torch.testing.assert_close(kept, again)


def _recipe(folder: Path, *, encoder: str = "", units: str = "letters", steps: int = 5, lr: float = 1e-2, **model: object) -> Path:
    path = folder / "recipe.toml"
    settings = {"name": "ctc", "units": units, "freeze_updates": 0, "mask_probability": 0.0, "channel_probability": 0.0, **model}
    part = json.dumps(encoder) if encoder else "{" + ", ".join(f"{key} = {json.dumps(value)}" for key, value in HUBERT.items()) + "}"
    path.write_text(
        "[model]\n"
        + "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())
        + f'[data]\nsampler = "transcripts"\nseconds = 12\nshortest = 0.3\n[optimizer]\nlr = {lr}\n[trainer]\nsteps = {steps}\n'
        + f"[parts]\nencoder = {part}\n"
    )
    return path


def _untrained(path: Path, corpus: Path, folder: Path) -> CTC:
    run_recipe("finetune", path, corpus, folder / "first", overrides=["trainer.steps=1", "optimizer.lr=1e-30"])
    model: CTC = load(folder / "first")
    return model


def _errors(model: CTC, corpus: Path) -> float:
    said = {item.id: (item.text or "").split() for item in Manifest.open(corpus)}
    wrong = sum(edit_distance(said[found.id], found.text.split()) for found in transcribe(model, corpus))
    return wrong / sum(map(len, said.values()))
