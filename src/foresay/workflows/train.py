"""Train a model: from a recipe and manifests to a run folder. Every verb that trains comes here.

recipe ──► parts: loaded, fitted, or built untrained ──► model, around them ──► the training loop      (models with a loss)
└──► passes over the corpus  (estimators)
"""

import contextlib
import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import torch

from foresay import draws
from foresay.building import describe
from foresay.contracts import (
    Estimator,
    FeatureExtractor,
    LanguageModel,
    Modality,
    Model,
    PitchEncoder,
    Recognizer,
    SpeechModel,
    Synthesizer,
    TokenModel,
    Trainable,
)
from foresay.corpora.batches import BatchLoader, plan_batches, plan_groups
from foresay.corpora.item import transcript_of
from foresay.corpora.labels import Clock, FrameLabels, LabelReader
from foresay.corpora.manifest import Manifest
from foresay.corpora.plans.windows import Plan
from foresay.corpora.texts import opened_texts
from foresay.encoding.passes import CorpusPasses
from foresay.errors import UserError, with_article
from foresay.runs import Run
from foresay.training.devices import Process, find_process, keep_freed_memory
from foresay.training.recipe import LABELS, Recipe
from foresay.training.trainer import Progress, Trainer, described
from foresay.workflows.entry import described_data, enter, refuse_other_recipe, refuse_others
from foresay.workflows.labelled import Labelled, all_notes, list_left_out, read_labelled
from foresay.workflows.parts import Parts
from foresay.workflows.unit_texts import open_unit_texts, write_unit_texts
from foresay.workflows.warm_start import WarmStart, keep_origin, read_recipe_from

Verb: TypeAlias = Literal["pretrain", "finetune", "train"]


def run_recipe(
    verb: Verb,
    recipe: str | Path,
    corpus: str | Path,
    run: str | Path,
    *,
    valid: str | Path | None = None,
    start: WarmStart | None = None,
    overrides: Sequence[str] = (),
    device: str | None = None,
) -> Progress:
    """Train a model, or go on with a run that exists, as the command `verb` does.

    `recipe`: a built-in name or a TOML file; `corpus`, `valid`: manifests; `start`: whose weights it begins with, instead of
    untrained ones; `overrides`: `section.key=value`.
    Returns how far the run is. A run begun with another recipe or on another corpus is refused: its name would lie.
    """
    resolved = read_recipe_from(start, recipe, overrides, Run(Path(run)))
    check_verb(verb, resolved)
    given = {"train": corpus} | ({"valid": valid} if valid else {})
    with contextlib.ExitStack() as stack:
        corpora = {purpose: stack.enter_context(opened_corpus(resolved, path)) for purpose, path in given.items()}
        return train(resolved, corpora, Run(Path(run)), find_process(device), start=start)


def opened_corpus(recipe: Recipe, path: str | Path) -> contextlib.AbstractContextManager[Manifest]:
    """Open a manifest or, where the model learns from texts alone, perhaps a text file.

    Raises:
        UserError: it is neither.
    """
    return opened_texts(path) if issubclass(recipe.kind, LanguageModel) else contextlib.nullcontext(Manifest.open(path))


WHAT = {"pretrain": "learns features from audio alone", "finetune": "learns from transcripts, on top of an encoder"}


def check_verb(verb: Verb, recipe: Recipe) -> None:
    """Make sure that a recipe is one for this command.

    Raises:
        UserError: it is for another; the message names it.
    """
    right: Verb = "train"
    if issubclass(recipe.kind, SpeechModel | Recognizer):
        right = "pretrain" if issubclass(recipe.kind, SpeechModel) else "finetune"
    if verb != right:
        what = WHAT[right] if right != "train" else f"is no encoder but {_article(recipe.kind)}"
        msg = f"the model {recipe.model} {what}: use `foresay {right} {recipe.name} …`"
        raise UserError(msg)


def _article(kind: type[Model]) -> str:
    return "an estimator, fitted in passes" if issubclass(kind, Estimator) else with_article(kind)


def train(recipe: Recipe, corpora: Mapping[str, Manifest], run: Run, process: Process, *, start: WarmStart | None = None) -> Progress:
    """Train the model of a recipe on the corpora `train` and, if it is there, `valid`; go on where the run is.

    Returns how far the run is.

    Raises:
        UserError: the run was begun with another recipe, other data or other parts, or what is asked for cannot be done with these.
    """
    recipe = completed(recipe, corpora["train"])
    refuse_other_recipe(run, recipe)
    parts = Parts(recipe, corpora, run, process, train)
    if issubclass(recipe.kind, Estimator):
        _refuse_idle(recipe, corpora, start)
        return _fit(recipe, corpora, run, process, parts)
    model = build_model(recipe, process, parts)
    labelled = labelled_of(model, recipe, corpora)
    origin = start.into(model) if start and not run.checkpoints() else None
    learnt = _unit_texts(model, parts) if isinstance(model, TokenModel) else corpora
    trainer = prepare(model, recipe, learnt, run, process, _labels_of(parts), labelled)
    notes = [str(origin)] if origin else []
    if not run.checkpoints():
        notes += all_notes(labelled) + never_trained(model, recipe.trainer.steps)
    if not process.leads:
        return trainer.fit()
    with run.alone():
        notes += enter(run, recipe, corpora)
        parts.record()
        keep_origin(run, start, origin)
        notes += list_left_out(run, labelled)
        return trainer.fit(notes)


def never_trained(model: Trainable, steps: int | None) -> list[str]:
    """Name the parameters that could learn, and whose learning rate is 0 in every update of so short a run."""
    if steps is None:
        return []
    return [
        f"{count:,} parameters of `{group.rstrip('.')}` are not trained: they are frozen in all {steps:,} updates. If they should be, let "
        "the run be longer, or the freeze shorter (model.freeze_updates); if not, model.freeze says so"
        for group in model.rate_groups
        if not any(model.rate(group, step) for step in {0, steps - 1})
        and (count := sum(one.numel() for name, one in model.named_parameters() if name.startswith(group) and one.requires_grad))
    ]


def labelled_of(model: Trainable, recipe: Recipe, corpora: Mapping[str, Manifest]) -> dict[str, Labelled]:
    """Check the transcripts that a recognizer learns from, corpus by corpus; of other models there is nothing to check."""
    if not isinstance(model, Recognizer):
        return {}
    return {purpose: read_labelled(model, manifest, recipe.data, purpose) for purpose, manifest in corpora.items()}


def completed(recipe: Recipe, manifest: Manifest) -> Recipe:
    """Fill in what a recipe leaves to the transcripts of the corpus, such as the vocabulary."""
    kind = recipe.kind
    if not (issubclass(kind, Recognizer) or (issubclass(kind, Trainable) and "text" in kind.needs)):
        return recipe
    transcript = recipe.model_settings.transcript if issubclass(kind, Estimator) else recipe.data.transcript
    texts = (transcript_of(item, transcript) for item in manifest)
    return dataclasses.replace(recipe, model_settings=kind.completed(recipe.model_settings, filter(None, texts)))


def _refuse_idle(recipe: Recipe, corpora: Mapping[str, Manifest], start: WarmStart | None) -> None:
    """Make sure that an estimator is given nothing that it would leave aside."""
    if idle := [option for option, given in (("--from", start), ("--valid", "valid" in corpora)) if given]:
        msg = f"{recipe.kind.__name__} is fitted anew, in passes over the corpus alone: leave out {' and '.join(idle)}"
        raise UserError(msg)


def _fit(recipe: Recipe, corpora: Mapping[str, Manifest], run: Run, process: Process, parts: Parts) -> Progress:
    """Fit an estimator, unless that was done; in one process of several, for which the others wait."""
    model = recipe.build_model(parts.of_model)
    assert isinstance(model, Estimator)  # noqa: S101 - the caller looked
    if process.leads:
        with run.alone():
            enter(run, recipe, {"train": corpora["train"]})
            parts.record()
            if not run.checkpoints():
                run.forget_metrics()  # of a fit that was interrupted: another one does the same
                data = CorpusPasses(corpora["train"], recipe.trainer.seed, str(process.device), log=run.log)
                model.to(process.device).eval().fit(data)
                list_left_out(run, {"train": Labelled(data.left_out)})
                run.save(1, model.state_dict(), {}, described(recipe.name, 1, describe(model)), keep=1)
    process.wait()
    return Progress(step=1)


def _unit_texts(model: TokenModel, parts: Parts) -> dict[str, Manifest]:
    """Write the units of each corpus as texts, in one process of several, for which the others wait; return them instead of the corpora."""
    if parts.process.leads:
        refuse_others(parts.run, {purpose: described_data(manifest) for purpose, manifest in parts.corpora.items()})
        with parts.run.alone():
            parts.make_labels()
            for purpose, manifest in parts.corpora.items():
                folder = parts.labels_folder(purpose)
                write_unit_texts(model, FrameLabels(folder, manifest), manifest, folder)
    parts.process.wait()
    return {purpose: open_unit_texts(manifest, parts.labels_folder(purpose)) for purpose, manifest in parts.corpora.items()}


MakeReader: TypeAlias = Callable[[str, Trainable], LabelReader]
"""Makes what reads the labels of a corpus, `train` or `valid`, at the frames of a model."""


def _labels_of(parts: Parts) -> MakeReader:
    def reader(purpose: str, model: Trainable) -> LabelReader:
        labels = parts.labels[purpose]
        if parts.recipe.labelled_by == LABELS:
            refuse_more_classes(labels.classes, model)
        return labels.reader(clock_of(model))

    return reader


def refuse_more_classes(labels: int, model: Trainable) -> None:
    """Make sure that a model has an output for each label.

    Raises:
        UserError: it has fewer.
    """
    if labels > (model.classes or 0):
        msg = (
            f"there are {labels} labels, but the model has {model.classes} classes: set model.classes to the number of clusters "
            f"(parts.{LABELS}.clusters)"
        )
        raise UserError(msg)


def clock_of(model: Trainable) -> Clock:
    """Return when the frames are that a model learns labels of: those of its tokenizer, if speech is made of them, or else its own.

    Raises:
        UserError: it has none.
    """
    if isinstance(model, Synthesizer):
        return _clock(model.tokenizer.encoder, model.tokenizer.layer, model.sample_rate)
    if not isinstance(model, FeatureExtractor):
        msg = f"{type(model).__name__} has no frames that labels could be of: leave out parts.{LABELS}"
        raise UserError(msg)
    return _clock(model, model.layer_names[-1], model.sample_rate)


def _clock(encoder: FeatureExtractor, layer: str, sample_rate: int) -> Clock:
    """Return when the frames of a layer are, in samples at some rate, which need not be the encoder's."""
    longer = sample_rate / encoder.sample_rate
    return Clock(
        sample_rate,
        encoder.first_center * longer,
        encoder.hop(layer) * longer,
        lambda samples: int(encoder.frame_count(torch.tensor([samples * encoder.sample_rate // sample_rate]), layer)[0]),
    )


def build_model(recipe: Recipe, process: Process, parts: Parts) -> Trainable:
    """Build the model around its parts, untrained, from the recipe's seed.

    Raises:
        UserError: the rest of the recipe does not fit the model.
    """
    if process.device.type == "cpu":
        keep_freed_memory()
    made = parts.of_model
    draws.seed_torch("weights", recipe.trainer.seed)  # after parts, which draw more or less when they are fitted, loaded or built
    model = recipe.build_model(made)
    assert isinstance(model, Trainable)  # noqa: S101 - a model is that or an estimator
    _refuse_misfits(model, recipe)
    return model


def prepare(
    model: Trainable,
    recipe: Recipe,
    corpora: Mapping[str, Manifest],
    run: Run,
    process: Process,
    labels: MakeReader,
    labelled: Mapping[str, Labelled],
) -> Trainer:
    """Plan the batches, and make what trains on them. `labelled`: of each corpus, what a recognizer cannot learn from.

    Raises:
        UserError: the recipe does not fit the corpora.
    """
    manifest, held_out = corpora["train"], corpora.get("valid")
    plan = plan_batches(
        manifest, recipe.data, seed=recipe.trainer.seed, group=model.group, modalities=_modalities(model), unfit=_unfit(labelled, "train")
    )

    def loader() -> BatchLoader:
        settings = recipe.trainer
        return BatchLoader(
            manifest,
            plan,
            labels=labels("train", model) if "labels" in model.needs else None,
            rank=process.rank,
            world=process.world,
            workers=settings.workers,
            accumulate=settings.accumulate,
        )

    validation = _validation(recipe, model, held_out, labels, _unfit(labelled, "valid")) if held_out else None
    return Trainer(model, recipe, loader, validation, _updates(recipe, plan), run, process)


def _refuse_misfits(model: Trainable, recipe: Recipe) -> None:
    reads_audio = isinstance(model, FeatureExtractor | PitchEncoder | Synthesizer) and "audio" in model.needs
    if reads_audio and model.sample_rate != recipe.data.sample_rate:
        msg = f"the model encodes audio of {model.sample_rate} Hz, but data.sample_rate = {recipe.data.sample_rate}: set both alike"
        raise UserError(msg)
    if "labels" in model.needs and recipe.labelled_by is None:
        msg = f"{recipe.model} learns labels, and the recipe says not whose: add [parts.labels] (`foresay recipes hubert-tiny`)"
        raise UserError(msg)
    if "labels" not in model.needs and LABELS in recipe.parts:
        msg = f"{recipe.model} learns no labels: leave out [parts.labels]"
        raise UserError(msg)
    if "text" in model.needs and recipe.data.sampler != (sampler := "transcripts" if "audio" in model.needs else "texts"):
        what = "transcripts" if "audio" in model.needs else "texts alone"
        msg = f"{recipe.model} learns from {what}, which the sampler {recipe.data.sampler!r} does not read: --set data.sampler={sampler}"
        raise UserError(msg)
    if recipe.data.augment_future and not model.uses_targets:
        msg = (
            f"data.augment_future changes what is predicted, and {recipe.model} predicts nothing that is made of audio versions: leave it "
            "out (data.augment_past changes what is encoded)"
        )
        raise UserError(msg)


def _modalities(model: Trainable) -> tuple[Modality, ...]:
    both: tuple[Modality, ...] = ("audio", "image")
    return tuple(modality for modality in both if modality in model.needs)


def _unfit(labelled: Mapping[str, Labelled], purpose: str) -> Collection[str]:
    return labelled[purpose].unfit if purpose in labelled else ()


def _validation(
    recipe: Recipe, model: Trainable, manifest: Manifest, labels: MakeReader, unfit: Collection[str]
) -> Callable[[], BatchLoader]:
    """Make the loader of held-out audio, as recorded: the same groups every time, one a batch, on any number of devices."""
    plan = plan_groups(manifest, recipe.data, seed=recipe.trainer.seed, group=model.group, modalities=_modalities(model), unfit=unfit)
    return lambda: BatchLoader(
        manifest, plan, labels=labels("valid", model) if "labels" in model.needs else None, workers=recipe.trainer.workers
    )


def _updates(recipe: Recipe, plan: Plan) -> int:
    if recipe.trainer.steps is not None:
        return recipe.trainer.steps
    assert recipe.trainer.epochs is not None  # noqa: S101 - the settings see to it that there is one of the two
    return sum(plan.steps(epoch) for epoch in range(recipe.trainer.epochs))
