"""Multi-modal CPC: its loss is that of its parts, modalities meet where they should, and a run goes on with half a queue."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from foresay.contracts import Batch
from foresay.corpora.made.bars import BarsWithSines
from foresay.errors import UserError
from foresay.loading import load
from foresay.models.representation.multimodal_cpc import PERTURBED, MultimodalCPC, MultimodalCPCSettings
from foresay.objectives.hybrid_contrastive import HybridContrast
from foresay.objectives.paired_contrastive import PairedContrast
from foresay.runs import Run
from foresay.training.recipe import read_recipe
from foresay.workflows.pretrain import pretrain
from foresay.workflows.rehearsal import rehearse
from reference.two_processes import Job, Measured, alone, together

GROUP = 2
STILL = {"perturbed": False}
"""Negatives without noise."""


def small(**changes: Any) -> MultimodalCPC:  # noqa: ANN401 - settings of any type
    torch.manual_seed(0)
    settings = MultimodalCPCSettings(channels=8, context_size=12, negative_group=GROUP)
    return MultimodalCPC(dataclasses.replace(settings, **changes)).double().eval()


def pairs(size: int = 2 * GROUP, seed: int = 1) -> Batch:
    random = torch.Generator().manual_seed(seed)
    waveforms = 0.1 * torch.randn(size, 4000, generator=random, dtype=torch.float64)
    images = torch.rand(size, 3, 64, 64, generator=random, dtype=torch.float64)
    lengths = torch.full((size,), 4000)
    return Batch(tuple(map(str, range(size))), waveforms, lengths, keys=torch.arange(size) + 50, images=images)


def taken(batch: Batch, places: Tensor) -> Batch:
    assert batch.waveforms is not None
    assert batch.lengths is not None
    assert batch.images is not None
    return dataclasses.replace(
        batch, waveforms=batch.waveforms[places], lengths=batch.lengths[places], images=batch.images[places], keys=batch.keys
    )


@pytest.mark.parametrize("ahead", [1, 3])
@pytest.mark.parametrize("cross", [True, False])
def test_the_loss_is_half_of_what_the_contrast_says_of_each_modality(*, cross: bool, ahead: int) -> None:
    options = {"audio": {"temperature": 0.2, "queue": 64}, "image": {"sigma": 0.3, "shuffled": False, "normalize": False}}
    model = small(cross_modal=cross, predictions=ahead, audio_negatives=options["audio"], image_negatives=options["image"])
    batch = pairs()
    losses = model(batch, 0)
    latents = {"audio": model.encoder(batch.waveforms), "image": model.image_encoder(batch.images)}
    total = torch.zeros((), dtype=torch.float64)
    for modality, other in (("audio", "image"), ("image", "audio")):
        z = latents[modality]
        c, _ = model.context.network(z)
        heads = [model.heads.weight[8 * k : 8 * k + 8] for k in range(ahead)]
        biases = [model.heads.bias[8 * k : 8 * k + 8] for k in range(ahead)]
        predictions = torch.stack([c[:, :-ahead] @ head.T + bias for head, bias in zip(heads, biases, strict=True)], dim=1)
        contrast = HybridContrast(8, GROUP, **options[modality]).double().eval()
        term = contrast(predictions, z, contrast.draw(z.shape[1], batch.keys, PERTURBED[modality]), latents[other] if cross else None).term
        torch.testing.assert_close(losses.terms[modality].sum, term.sum)
        assert losses.terms[modality].count == term.count == 4 * (z.shape[1] - ahead)
        total += term.sum / term.count / 2
    torch.testing.assert_close(losses.total(), total)
    shares = {kind: float(value) for kind, value in losses.scalars.items() if "_share_" in kind}
    assert ("audio_share_others" in shares) == ("image_share_others" in shares) == cross
    assert sum(shares.values()) == pytest.approx(2)


@pytest.mark.parametrize("modality", ["audio", "image"])
def test_alone_a_modality_is_the_whole_loss(modality: str) -> None:
    model, both = small(modalities=modality), small(cross_modal=False)
    both.load_state_dict(model.state_dict(), strict=False)
    losses, expected = model(pairs(), 0), both(pairs(), 0)
    assert list(losses.terms) == [modality]
    torch.testing.assert_close(losses.terms[modality].sum, expected.terms[modality].sum)
    torch.testing.assert_close(losses.total(), losses.terms[modality].sum / losses.terms[modality].count)
    assert losses.scalars["accuracy"] == losses.scalars[f"{modality}_accuracy"]


def test_one_modality_pushes_no_other_encoder_unless_asked() -> None:
    for detached in (True, False):
        model = small(audio_negatives={"detach_others": detached})
        model(pairs(), 0).terms["audio"].sum.backward()
        pushed = [parameter.grad is not None for parameter in model.image_encoder.parameters()]
        assert not any(pushed) if detached else all(pushed)
        for shared in (model.encoder, model.context, model.heads):
            assert all(parameter.grad is not None for parameter in shared.parameters())


def test_the_order_of_pairs_makes_no_difference() -> None:
    model = small(audio_negatives=STILL, image_negatives=STILL, cross_modal_positives=True)
    batch = pairs(GROUP)
    mixed = taken(batch, torch.tensor([1, 0]))
    torch.testing.assert_close(model(mixed, 0).total(), model(batch, 0).total())


def test_pairs_are_positives_if_asked() -> None:
    model, batch = small(cross_modal_positives=True, positives_temperature=0.3), pairs()
    losses = model(batch, 0)
    audio, image = (model.contexts(z).mean(dim=1) for z in model.latents(model.given(batch)).values())
    expected = PairedContrast(GROUP, 0.3)(audio, image)
    torch.testing.assert_close(losses.terms["pairs"].sum, expected.term.sum)
    without = small()(batch, 0).total()
    torch.testing.assert_close(losses.total(), without + expected.term.sum / 4)
    assert losses.scalars["pairs_accuracy"] == expected.accuracy


def test_queues_take_in_each_their_own_latents_after_the_update() -> None:
    model, batch = small(norm="none", audio_negatives={"queue": 300}).train(), pairs()
    queues = {modality: model.contrasts[modality].queue for modality in ("audio", "image")}
    model(batch, 0)
    assert [len(queue.held()) for queue in queues.values()] == [0, 0]
    model.after_step(0)
    for modality, z in model.latents(model.given(batch)).items():
        expected = torch.nn.functional.normalize(z[:, 1:].flatten(0, 1), dim=-1)
        torch.testing.assert_close(queues[modality].held(), expected.detach())
        assert not queues[modality].held().requires_grad
    assert "audio_share_queue" in model(batch, 1).scalars


def test_what_is_seen_does_not_depend_on_the_rest_of_the_batch() -> None:
    model, images = small().train(), pairs().images
    for _ in range(3):  # the norm has seen something
        model(pairs(), 0)
        model.after_step(0)
    model.eval()
    assert images is not None
    together = model.image_features(images)
    assert {name: value.shape for name, value in together.values.items()} == {"z": (4, 16, 8), "c": (4, 16, 12)}
    assert together.lengths["c"].tolist() == [16] * 4
    assert together.frame_rate == {}
    torch.testing.assert_close(model.image_features(images[2:3]).values["c"], together.values["c"][2:3])
    assert list(model.image_features(images, ["z"]).values) == ["z"]
    with pytest.raises(UserError, match='no layer "?.?zz'):
        model.image_features(images, ["zz"])


def test_a_model_of_one_modality_says_what_it_cannot() -> None:
    batch = pairs()
    assert batch.images is not None
    of_images, of_audio = small(modalities="image"), small(modalities="audio")
    assert of_images.image_features(batch.images).values["c"].shape == (4, 16, 12)
    assert of_audio.features(batch.waveforms, batch.lengths).values["c"].shape[2] == 12
    with pytest.raises(UserError, match=r'modalities = "image" and takes no audio: use one trained with "both"'):
        of_images.features(batch.waveforms, batch.lengths)
    with pytest.raises(UserError, match="takes no audio"):
        of_images.frame_count(torch.tensor([16_000]), "z")
    with pytest.raises(UserError, match=r'modalities = "audio" and takes no images'):
        of_audio.image_features(batch.images)


def test_what_does_not_fit_is_explained() -> None:
    with pytest.raises(UserError, match=r"no image, which model.modalities = \"both\".*data.sampler = items"):
        small()(dataclasses.replace(pairs(), images=None), 0)
    with pytest.raises(UserError, match="no patch of a picture of 16 has 16 patches after it: set data.image_side"):
        small(predictions=16, modalities="image")(pairs(), 0)
    for overrides, message in (
        (["model.audio_negatives.temprature=0.2"], 'model.audio_negatives.temprature = 0.2: did you mean "temperature"'),
        (["model.image_negatives.queue=1.5"], "model.image_negatives.queue must be of type int"),
        (["model.image_negatives.sigma=0"], r"sigma = 0.0 makes perturbed negatives equal to the latents themselves"),
        (["model.modalities=audio", "model.cross_modal_positives=true"], 'takes pairs, and modalities = "audio" has none'),
        (["model.modalities=sound"], "model.modalities = 'sound'"),
    ):
        with pytest.raises(UserError, match=message):
            read_recipe("mmcpc-bars", overrides).build_model()


SMALL = (
    "model.channels=8",
    "model.context_size=12",
    "model.negative_group=2",
    "data.batch=4",
    "data.window=4800",
    "data.image_side=32",
    "optimizer.warmup=2",
    "trainer.steps=4",
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("PIL")
    return BarsWithSines(train=12, test=4).make(tmp_path_factory.mktemp("bars")).manifests["train"]


@pytest.mark.parametrize("modalities", ["audio", "image", "both"])
def test_a_run_goes_on_with_half_a_queue_as_if_it_had_never_stopped(corpus: Path, tmp_path: Path, modalities: str) -> None:
    overrides = (*SMALL, f"model.modalities={modalities}")
    pretrain("mmcpc-bars", corpus, tmp_path / "whole", valid=corpus.parent / "test.jsonl", overrides=overrides, device="cpu")
    for steps in (2, 4):
        pretrain("mmcpc-bars", corpus, tmp_path / "cut", overrides=(*overrides, f"trainer.steps={steps}"), device="cpu")
    whole, cut = (Run(tmp_path / name).checkpoints()[-1].weights() for name in ("whole", "cut"))
    assert whole.keys() == cut.keys()
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    arrived = {name: int(value) for name, value in whole.items() if name.endswith("queue.arrived")}
    per_update = {"audio": 4 * 14, "image": 4 * 3}
    wanted = ("audio", "image") if modalities == "both" else (modalities,)
    assert arrived == {f"contrasts.{one}.queue.arrived": 4 * per_update[one] for one in wanted}
    assert load(tmp_path / "cut").settings.modalities == modalities


def test_a_rehearsal_of_pictures_counts_pictures(corpus: Path, tmp_path: Path) -> None:
    found = rehearse("pretrain", "mmcpc-bars", corpus, tmp_path / "run", overrides=(*SMALL, "model.modalities=image"), device="cpu")
    assert (found.audio_hours, found.updates) == (0, 4)
    assert found.epochs == pytest.approx(4 * 4 / 12)


def _same(two: Measured, one: Measured) -> None:
    for name in ("loss", "grad_norm", "accuracy"):
        assert [s[name] for s in two.scalars] == pytest.approx([s[name] for s in one.scalars], abs=1e-6)
    for mine, theirs in ((two.gradient, one.gradient), (two.weights, one.weights)):
        for name in theirs:
            torch.testing.assert_close(mine[name], theirs[name], atol=1e-6, rtol=0, msg=name)


def test_micro_batches_learn_what_the_whole_batch_teaches(corpus: Path, tmp_path: Path) -> None:
    whole = Job("mmcpc-bars", ("model.predictions=2", "data.batch=8"), small=SMALL)
    halves = dataclasses.replace(whole, overrides=(*whole.overrides, "trainer.accumulate=2"))
    _same(*alone([halves, whole], corpus, tmp_path))


@pytest.mark.slow
def test_two_processes_learn_what_one_does(corpus: Path, tmp_path: Path) -> None:
    cases = (("model.cross_modal_positives=true",), ("model.modalities=image", "trainer.accumulate=2", "data.batch=8"))
    jobs = [Job("mmcpc-bars", ("model.predictions=2", *case), small=SMALL) for case in cases]
    for one, two in zip(alone(jobs, corpus, tmp_path), together(jobs, corpus, tmp_path, tmp_path), strict=True):
        _same(two, one)


def test_what_is_predicted_is_the_other_version_where_there_is_one() -> None:
    """Of sounds; augmentation of the future is for that. Pictures have none, but meet it as negatives."""
    model, batch = small(cross_modal=False, audio_negatives=STILL, image_negatives=STILL), pairs()
    other = dataclasses.replace(batch, targets=0.1 * torch.randn(batch.waveforms.shape, dtype=torch.float64))
    losses = model(other, 0)
    latents, futures = model.encoder(batch.waveforms), model.encoder(other.targets)
    predictions = model.heads(model.contexts(latents)[:, :-1])[:, None]
    expected = model.contrasts["audio"](predictions, futures, model.contrasts["audio"].draw(futures.shape[1], batch.keys)).term
    torch.testing.assert_close(losses.terms["audio"].sum, expected.sum)
    torch.testing.assert_close(losses.terms["image"].sum, model(batch, 0).terms["image"].sum)
