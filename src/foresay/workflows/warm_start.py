"""Warm start: a run begins with the weights of a model that was trained before (`foresay pretrain --from MODEL`).

    source (a run, a model folder, hf:NAME, a .pt file of fairseq) --> tensors by name --> the recipe's model, untrained
                                                                          |
                 shared: copied          new: stay as they were drawn          dropped: left behind          other shape: refused

What is copied must be all that makes features: before the first update both models give the same frames of the same audio, or the run is
refused. What only the source has (a quantizer) and what only the recipe has (a head for other labels) is listed, and kept in the run's
`origin.toml`. The optimizer starts anew.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from torch import Tensor

from foresay import draws
from foresay.contracts import Frames, SpeechModel, Trainable
from foresay.errors import UserError, nearest, with_article
from foresay.files import read_text, write_text
from foresay.fingerprint import of_weights
from foresay.loading import load
from foresay.runs import Run
from foresay.settings import Table, read_toml, read_toml_file, to_table, write_toml
from foresay.training.recipe import Recipe, read_recipe

ORIGIN = "origin.toml"
TOLERANCE = 1e-5
"""Between features of the source and of the model that took its weights, relative to their spread: that of rounding."""
LOUDNESS, OFFSET = (0.3, 0.003), (0.0, 0.001)
"""Of the two clips of noise that both encode. To one that is quiet, off the middle and shorter, settings matter that make no difference to
noise of mean 0 and variance 1: how a waveform is standardized, whether a norm takes in padding."""
CARRIED = ("standardize",)
"""Settings that come with weights: how the waveform is prepared, which no tensor shows and no recipe for other weights can know."""
LISTED = 5


@dataclass(frozen=True)
class WarmStart:
    """Whose weights a run begins with."""

    source: str
    """A run, `RUN@step`, a model folder, `hf:NAME` or a `.pt` file of fairseq."""
    renew: tuple[str, ...] = ()
    """Parameters, or modules with all of theirs, that start anew although the source has them."""

    def into(self, model: Trainable) -> "Origin":
        """Copy the source's weights into an untrained model.

        Raises:
            UserError: the source is no model of this package; a tensor has another shape; or features would not be the source's.
        """
        if not isinstance(model, SpeechModel):
            msg = f"--from begins an encoder with the weights of another, and {type(model).__name__} is none: name it in [parts] instead"
            raise UserError(msg)
        source = load(self.source)
        if not isinstance(source, SpeechModel):
            msg = (
                "--from takes a model that Foresay can train: a run, a model folder, or a checkpoint of wav2vec 2.0, HuBERT or WavLM. "
                f"{self.source} is {with_article(type(source))}, whose weights fit no model here"
            )
            raise UserError(msg)
        theirs, ours = source.state_dict(), model.state_dict()
        renewed = _renewed(self.renew, ours)
        shared = [name for name in ours if name in theirs and name not in renewed]
        if not shared:
            theirs_is, ours_is = with_article(type(source)), type(model).__name__
            msg = f"{self.source} is {theirs_is}, and the recipe's {ours_is} shares no tensor with it: choose a recipe of its family"
            raise UserError(msg)
        self._refuse_other_shapes(source, model, [name for name in shared if theirs[name].shape != ours[name].shape])
        model.load_state_dict({**ours, **{name: theirs[name] for name in shared}})
        self._refuse_other_features(source, model)
        return Origin(
            self.source,
            of_weights(source),
            taken=len(shared),
            new=tuple(name for name in ours if name not in shared),
            dropped=tuple(name for name in theirs if name not in shared),
        )

    def _refuse_other_shapes(self, source: SpeechModel, model: SpeechModel, names: Sequence[str]) -> None:
        if not names:
            return
        theirs, ours = source.state_dict(), model.state_dict()
        listed = "; ".join(f"{name} {tuple(theirs[name].shape)} there, {tuple(ours[name].shape)} here" for name in names[:LISTED])
        more = f"; and {len(names) - LISTED} more" if len(names) > LISTED else ""
        msg = f"{self.source} does not fit the recipe: {listed}{more}. {_advice(source, model)}"
        if set(names) <= _heads(source):
            msg += ", or let these heads start anew: " + " ".join(f"--renew {name}" for name in dict.fromkeys(map(_module, names)))
        raise UserError(msg)

    def _refuse_other_features(self, source: SpeechModel, model: SpeechModel) -> None:
        why = _difference(source, model)
        if why:
            msg = f"with the weights of {self.source} the recipe's model does not give its features ({why}). {_advice(source, model)}"
            raise UserError(msg)


@dataclass(frozen=True)
class Origin:
    """What was taken from where: the run's `origin.toml`."""

    model: str
    """As the user named it."""
    fingerprint: str
    """Of its weights."""
    taken: int
    """Tensors."""
    new: tuple[str, ...]
    """Parameters and buffers that the source did not have."""
    dropped: tuple[str, ...]
    """Those of the source that the model has no place for."""

    def table(self) -> Table:
        """As TOML keeps it."""
        return {
            "model": self.model,
            "fingerprint": self.fingerprint,
            "taken": self.taken,
            "new": list(self.new),
            "dropped": list(self.dropped),
        }

    def __str__(self) -> str:
        """One line for the log."""
        return f"starts from {self.model}: {self.taken} tensors taken; new: {_by_module(self.new)}; dropped: {_by_module(self.dropped)}"


def read_recipe_from(start: WarmStart | None, recipe: str | Path, overrides: Sequence[str], run: Run) -> Recipe:
    """Read a recipe; where a run begins with another model's weights, what comes with them is as it is there, unless `overrides` say more.

    Of a run that was begun its own recipe knows that: nothing is read of the source any more.
    """
    resolved = read_recipe(recipe, overrides)
    if start is None:
        return resolved
    theirs = read_toml_file(run.recipe).get("model", {}) if run.recipe.exists() else _settings_of(start.source)
    known = resolved.table()["model"].keys() & theirs
    changes = [f"model.{name}={json.dumps(theirs[name])}" for name in CARRIED if name in known]
    return read_recipe(recipe, (*changes, *overrides))


def _settings_of(source: str) -> Table:
    model = load(source)
    return to_table(model.settings) if isinstance(model, SpeechModel) else {}


def keep_origin(run: Run, start: WarmStart | None, origin: Origin | None) -> None:
    """Write down whose weights a run begins with, or make sure that it is they.

    `origin`: what was taken just now; None where nothing was, because the run goes on from a checkpoint or starts untrained.

    Raises:
        UserError: the run was begun with other weights, or without any.
    """
    known, saved = _known(run), bool(run.checkpoints())
    if start is None and known and not saved:
        msg = f"{run.folder} was begun from {known['model']} and has saved no checkpoint yet: give --from again, or choose another --run"
        raise UserError(msg)
    if start is not None and known is None and saved:
        msg = f"{run.folder} was begun without --from: its weights are its own. Choose another --run, or leave --from out to go on with it"
        raise UserError(msg)
    if start is not None and known and (origin or start.source != known["model"]):
        now = origin.fingerprint if origin else of_weights(load(start.source))
        if now != known["fingerprint"]:
            msg = (
                f"{run.folder} was begun from {known['model']} (weights {known['fingerprint']}), and {start.source} has other weights now "
                f"({now}). Choose another --run, or give the model that it was begun with"
            )
            raise UserError(msg)
    if origin is not None:
        write_text(run.folder / ORIGIN, write_toml(origin.table()))


def _known(run: Run) -> Table | None:
    path = run.folder / ORIGIN
    return read_toml(read_text(path), str(path)) if path.exists() else None


def _renewed(renew: Iterable[str], ours: Mapping[str, Tensor]) -> set[str]:
    """Find the tensors that are named, or lie in a module that is."""
    found: set[str] = set()
    for module in renew:
        names = {name for name in ours if name == module or name.startswith(f"{module}.")}
        if not names:
            msg = f"--renew {module}: the model has no such parameter or module: {nearest(module, {_module(name) for name in ours})}"
            raise UserError(msg)
        found |= names
    return found


def _difference(source: SpeechModel, model: SpeechModel) -> str:
    """Say in which layer both differ on a second of noise, loud and quiet, or nothing if they are the same."""
    if source.layer_names != model.layer_names:
        return f"layers {', '.join(source.layer_names)} there, {', '.join(model.layer_names)} here"
    if source.sample_rate != model.sample_rate:
        return f"{source.sample_rate} Hz there, {model.sample_rate} Hz here"
    loudness, offset = (torch.tensor(values)[:, None] for values in (LOUDNESS, OFFSET))
    noise = torch.randn(2, source.sample_rate, generator=draws.generator("self-test", 0)) * loudness + offset
    lengths = torch.tensor([noise.shape[1], 3 * noise.shape[1] // 4])
    trains = model.training
    with torch.no_grad():
        theirs, ours = (m.eval().features(noise, lengths) for m in (source, model))
    model.train(trains)
    return next(filter(None, (_differ(layer, theirs, ours) for layer in theirs.values)), "")


def _differ(layer: str, theirs: Frames, ours: Frames) -> str:
    """Say how a layer differs in any of the clips, or nothing."""
    counts, found_counts = (frames.lengths[layer].tolist() for frames in (theirs, ours))
    for clip, (count, found_count) in enumerate(zip(counts, found_counts, strict=True)):
        expected, found = theirs.values[layer][clip, :count], ours.values[layer][clip, :found_count]
        if found.shape != expected.shape:
            return f"layer {layer}: {tuple(expected.shape)} there, {tuple(found.shape)} here"
        if not torch.allclose(found, expected, rtol=0, atol=TOLERANCE * float(expected.std())):
            return f"layer {layer} differs by up to {float((found - expected).abs().max()):.2g}, of a spread of {float(expected.std()):.2g}"
    return ""


def _heads(model: SpeechModel) -> set[str]:
    """Find the parameters that no feature depends on: those without a gradient."""
    noise = torch.randn(1, model.sample_rate, generator=draws.generator("self-test", 0))
    with torch.enable_grad():
        total = torch.stack([values.sum() for values in model.eval().features(noise, torch.tensor([noise.shape[1]])).values.values()]).sum()
    names, parameters = zip(*model.named_parameters(), strict=True)
    found: tuple[Tensor | None, ...] = torch.autograd.grad(total, parameters, allow_unused=True)
    return {name for name, gradient in zip(names, found, strict=True) if gradient is None}


def _advice(source: SpeechModel, model: SpeechModel) -> str:
    """Name the settings of both that differ, as the command line takes them."""
    theirs, ours = to_table(source.settings), to_table(model.settings)
    both = {f.name for f in fields(source.settings)} & {f.name for f in fields(model.settings)}
    changes = [
        f"--set 'model.{name}={json.dumps(theirs[name])}'" for name in sorted(both & theirs.keys()) if theirs[name] != ours.get(name)
    ]
    return f"Give the recipe the source's settings: {' '.join(changes)}" if changes else "Choose a recipe of the source's family"


def _module(name: str) -> str:
    return name.partition(".")[0]


def _by_module(names: Sequence[str]) -> str:
    """List modules with how many tensors they have."""
    counted = Counter(map(_module, names))
    return ", ".join(f"{module} ({count})" for module, count in counted.items()) or "none"
