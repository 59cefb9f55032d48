"""A self-test of fine-tuning: one batch, learnt by heart. What cannot do that is not helped by more data or a longer run.

the run's first batch, again and again --> loss of a symbol: the plateau of blanks, at the entropy of the symbols, and then down to 0
                                       --> recognized, by the best path: what was said
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import torch

from foresay.contracts import Batch, Encoded, Estimator, Recognizer, Trainable
from foresay.corpora.manifest import Manifest
from foresay.encoding.search_settings import SearchSettings
from foresay.encoding.searches import Decoder
from foresay.errors import UserError
from foresay.runs import Run
from foresay.statistics.edit_distance import edit_distance
from foresay.training.devices import find_process
from foresay.training.recipe import Recipe
from foresay.training.trainer import Trainer
from foresay.workflows.labelled import all_notes
from foresay.workflows.parts import Parts
from foresay.workflows.rehearsal import no_labels
from foresay.workflows.train import build_model, check_verb, completed, labelled_of, never_trained, prepare
from foresay.workflows.warm_start import WarmStart, read_recipe_from

UPDATES, EVERY = 300, 25
"""At most, and after how many it is looked at."""
SECONDS = 30.0
"""Of audio, at most: some eight utterances."""
LEARNT = 0.02
"""Share of the characters that may still be wrong."""


@dataclasses.dataclass(frozen=True)
class SelfTest:
    """How one batch was learnt."""

    utterances: int
    symbols: int
    updates: int
    entropy: float
    """Of the symbols, in nats each: what a loss is that knows how frequent they are and no more."""
    losses: tuple[float, float]
    """Nats a symbol, nothing masked, before and after."""
    wrong: float
    """Share of the characters, after."""


def check_learning(
    recipe: str | Path,
    corpus: str | Path,
    run: str | Path,
    *,
    start: WarmStart | None = None,
    overrides: Sequence[str] = (),
    device: str | None = None,
    updates: int = UPDATES,
) -> SelfTest:
    """Learn one batch of a fine-tuning by heart, and keep nothing; the folder of the run is not made.

    Raises:
        UserError: that fails; the message says how far it came, and the usual causes.
    """
    folder, process = Run(Path(run)), find_process(device)
    resolved = read_recipe_from(start, recipe, overrides, folder)
    check_verb("finetune", resolved)
    if issubclass(resolved.kind, Estimator):
        msg = f"the model {resolved.model} is fitted in passes over the corpus: there is no batch to learn by heart, leave out --check"
        raise UserError(msg)
    corpora = {"train": Manifest.open(corpus)}
    resolved = _short(completed(resolved, corpora["train"]), updates)
    model = build_model(resolved, process, Parts(resolved, corpora, folder, process, None))
    if start:
        start.into(model)
    assert isinstance(model, Recognizer)  # noqa: S101 - the verb was checked
    labelled = labelled_of(model, resolved, corpora)
    trainer = prepare(model, resolved, corpora, folder, process, no_labels, labelled)
    with trainer.loader() as loader:
        _, batches = next(loader.updates())
    found = _learn(trainer, model, batches, updates)
    if found.wrong > LEARNT:
        raise UserError(_refusal(found, [*all_notes(labelled), *never_trained(trainer.model, updates)]))
    return found


def _short(recipe: Recipe, updates: int) -> Recipe:
    """Make batches small and the run short; all else, the schedule of the learning rate too, is as it will be."""
    return dataclasses.replace(
        recipe,
        data=dataclasses.replace(recipe.data, seconds=min(recipe.data.seconds, SECONDS), longest=min(recipe.data.longest, SECONDS)),
        trainer=dataclasses.replace(recipe.trainer, steps=updates, epochs=None),
    )


def _learn(trainer: Trainer, model: Recognizer, batches: Sequence[Batch], updates: int) -> SelfTest:
    decoder = Decoder(model, SearchSettings(), str(trainer.place.device))
    moved = [batch.to(trainer.place.device) for batch in batches]
    spelled = [model.spell(text) for batch in moved for text in batch.text or ()]
    counts = torch.bincount(torch.tensor([symbol for one in spelled for symbol in one]))
    entropy = float(torch.special.entr(counts / counts.sum()).sum())
    first, wrong = _loss(trainer.model, moved), 1.0
    while trainer.progress.step < updates and wrong > LEARNT:
        for _ in range(min(EVERY, updates - trainer.progress.step)):
            trainer.update(batches)
            trainer.progress.step += 1
        wrong = _wrong(decoder, moved)
    return SelfTest(len(spelled), int(counts.sum()), trainer.progress.step, entropy, (first, _loss(trainer.model, moved)), wrong)


@torch.no_grad()
def _loss(model: Trainable, batches: Sequence[Batch]) -> float:
    """Sum the terms of the loss of batches, each a mean over all that it counts."""
    model.eval()
    found = [model(batch, 0).terms for batch in batches]
    return sum(
        found[0][name].weight * float(sum(one[name].sum for one in found)) / float(sum(one[name].count for one in found))
        for name in found[0]
    )


@torch.no_grad()
def _wrong(decoder: Decoder, batches: Sequence[Batch]) -> float:
    """Recognize batches: the share of characters that are wrong."""
    recognizer, errors, characters = decoder.recognizer.eval(), 0, 0
    (layer,) = recognizer.layer_names
    for batch in batches:
        frames = recognizer.features(*batch.audio)
        said = decoder(Encoded(frames.values[layer].float(), frames.lengths[layer].cpu()))
        for text, ((best, *_)) in zip(batch.text or (), said, strict=True):
            reference = recognizer.normalized(text)
            errors, characters = errors + edit_distance(reference, best.text), characters + len(reference)
    return errors / characters


def _refusal(found: SelfTest, notes: Sequence[str]) -> str:
    causes = (
        "Usual causes: a learning rate that is too low or too high (optimizer.lr), an encoder that is frozen all the while (model.freeze, "
        "model.freeze_updates) and knows nothing of speech, audio that is not prepared as in its pre-training, too much dropout"
    )
    return " ".join(
        (
            f"{found.utterances} utterances were not learnt by heart in {found.updates} updates: {found.wrong:.0%} of their characters",
            f"are wrong, at {found.losses[1]:.2f} nats a symbol (before: {found.losses[0]:.2f}). To know how frequent symbols are, and no",
            f"more, costs {found.entropy:.2f}: a loss near that is the plateau of blanks. {causes}",
            *notes,
        )
    )
