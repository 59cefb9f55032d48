"""The parts of a run: the models that its model is made of, or takes labels from (`[parts]` of a recipe).

    encoder = "runs/hubert"                        loaded
    labels = {name = "kmeans", encoder = …}        fitted on the run's corpus, into RUN/parts/labels, a run of its own
    labels = "runs/hmm"                            loaded: the states of hidden Markov models
    tokenizer = "runs/units"                       loaded: its symbols are the labels, or the texts, of a model that is made of it
    encoder = {name = "cpc"}                       built untrained
    encoder = "untrained:runs/hubert"              built untrained, of the same settings: the control from scratch

    RUN/parts.toml      of each part: what it is (its [model] table), where it came from, and the digest of its weights

What was loaded is in the run's own weights from the first checkpoint on: whatever becomes of its source, the run goes on.
"""

import functools
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias, cast

from torch import nn

from foresay import draws
from foresay.building import Part, assemble, baseline, build, describe, find_model, is_baseline, require_parts, taken_apart, untrained_copy
from foresay.contracts import Estimator, StateRecognizer, Tokenizer
from foresay.corpora.labels import FrameLabels
from foresay.corpora.manifest import Manifest
from foresay.encoding.labels import are_made, make_labels
from foresay.encoding.passes import CorpusPasses
from foresay.errors import UserError, with_article
from foresay.files import write_text
from foresay.fingerprint import of_model
from foresay.loading import load
from foresay.models.units.hmm_states import HMMStates, HMMStatesSettings
from foresay.runs import Run
from foresay.settings import Table, parts_of, read_toml_file, write_toml
from foresay.training.devices import Process
from foresay.training.recipe import LABELS, TOKENIZER, UNTRAINED, Recipe
from foresay.trust import named_in

FitPart: TypeAlias = Callable[[Recipe, Mapping[str, Manifest], Run, Process], object]
"""Fits the estimator of a recipe into a run."""


class Parts:
    """Loads, fits or builds the parts of one run."""

    def __init__(self, recipe: Recipe, corpora: Mapping[str, Manifest], run: Run, process: Process, fit: FitPart | None) -> None:
        """`fit`: what fits an estimator into a run; None, for a rehearsal: those that read recordings stay as they are built."""
        self.recipe, self.corpora, self.run, self.process, self.fit = recipe, corpora, run, process, fit

    @functools.cached_property
    def of_model(self) -> dict[str, nn.Module]:
        """The models that the run's model is made of, by the names of its constructor's parameters."""
        require_parts(self.recipe.kind, self.recipe.parts)
        names = list(parts_of(self.recipe.kind))
        if names and self.run.checkpoints():
            return {name: self._rebuilt(name) for name in names}
        found = {name: self._made(name, self.recipe.parts[name]) for name in names}
        for name, part in found.items():
            self._refuse_other(name, of_model(part))
        return found

    @functools.cached_property
    def labels(self) -> dict[str, FrameLabels]:
        """The labels of the run's corpora, made by its tokenizer when they are first asked for: then the run is known to be valid."""
        if self.process.leads:  # the others wait, and then find them made
            self.make_labels()
        self.process.wait()
        return {purpose: FrameLabels(self.labels_folder(purpose), manifest) for purpose, manifest in self.corpora.items()}

    def labels_folder(self, purpose: str) -> Path:
        """Where the labels of a corpus lie, `train` or `valid`."""
        return self.run.labels / purpose

    def record(self) -> None:
        """Write down what each part of the model is."""
        if self.of_model:
            self._keep({name: self._about(name, part) for name, part in self.of_model.items()})

    def make_labels(self) -> None:
        """Make the labels of the run's corpora, unless they are made."""
        known = str(self._known().get(self.recipe.labelled_by or "", {}).get("fingerprint"))
        if all(are_made(self.labels_folder(purpose), known, manifest) for purpose, manifest in self.corpora.items()):
            return  # whatever has become of their source
        tokenizer = self.tokenizer()
        assert isinstance(tokenizer, nn.Module)  # noqa: S101 - every part is one
        if self.recipe.labelled_by == LABELS:
            self._refuse_other(LABELS, of_model(tokenizer))
            self._keep({LABELS: self._about(LABELS, tokenizer)})
        tokenizer.to(self.process.device).eval()
        make_labels(tokenizer, self.corpora, self.run.labels, device=str(self.process.device))

    def tokenizer(self) -> Tokenizer:
        """Load, fit or build what makes the labels; of hidden Markov models, these are their states.

        The tokenizer that the model is made of is, once the run has a checkpoint, in its weights.

        Raises:
            UserError: it is none.
        """
        if self.recipe.labelled_by == TOKENIZER:
            own: Any = load(f"{self.run.folder}#{TOKENIZER}") if self.run.checkpoints() else self.of_model[TOKENIZER]
            return cast("Tokenizer", own)
        tokenizer = self._made(LABELS, self.recipe.parts[LABELS], fitted_by=Process(self.process.device))
        if isinstance(tokenizer, StateRecognizer):
            tokenizer = HMMStates(HMMStatesSettings(), tokenizer)
        if not isinstance(tokenizer, Tokenizer):
            msg = (
                f"parts.{LABELS} must be a tokenizer, and {self.recipe.parts[LABELS]} is {with_article(type(tokenizer))}: fit one "
                f"(foresay train kmeans --set parts.encoder=MODEL …), or let this run do it (`foresay recipes hubert-tiny` shows how)"
            )
            raise UserError(msg)
        return tokenizer

    def _made(self, name: str, part: Part, fitted_by: Process | None = None) -> nn.Module:
        """Load, fit or build a part."""
        if isinstance(part, str) and not part.startswith(UNTRAINED):
            return load(part)
        if isinstance(part, str):
            model = load(part.removeprefix(UNTRAINED))
            self._draw_weights(name)
            return untrained_copy(model)
        process = fitted_by or self.process
        with named_in("recipe"):
            kind, settings, inner = taken_apart(part)
            if is_baseline(kind):
                return baseline(kind)
            cls = find_model(kind)
        if self.fit and issubclass(cls, Estimator):
            recipe = Recipe(name, kind, settings, self.recipe.data, self.recipe.optimizer, self.recipe.trainer, inner)
            run = Run(self.run.folder / "parts" / name)
            self.fit(recipe, {"train": self.corpora["train"]}, run, process)  # or makes sure that it was fitted so
            return load(run.folder)
        parts = {key: self._made(f"{name}.{key}", value, fitted_by) for key, value in inner.items()}
        self._draw_weights(name)
        made = assemble(cls, settings, parts)
        if isinstance(made, Estimator) and not made.reads_recordings:
            made.fit(CorpusPasses(self.corpora["train"], self.recipe.trainer.seed))
        return made

    def _draw_weights(self, name: str) -> None:
        """Let the weights of a part be its own, whatever was drawn for others."""
        draws.seed_torch("weights of parts", self.recipe.trainer.seed, zlib.crc32(name.encode()))

    def _rebuilt(self, name: str) -> nn.Module:
        """Build a part as it is recorded: its weights are the run's. What may be imported is what might be when it was first made."""
        with named_in("model folder" if isinstance(self.recipe.parts[name], str) else "recipe"):
            return build(self._recorded(name)["model"])

    def _about(self, name: str, part: nn.Module) -> Table:
        given = self.recipe.parts[name]
        source: Table = {"from": given} if isinstance(given, str) else {}
        return source | {"fingerprint": of_model(part), "model": describe(part)}

    def _recorded(self, name: str) -> Table:
        known: Table = self._known().get(name, {})
        if not isinstance(known.get("model"), dict):
            msg = f"{self._path} does not say what the part {name} of this run is: was the run copied whole, or edited by hand?"
            raise UserError(msg)
        return known

    def _refuse_other(self, name: str, fingerprint: str) -> None:
        """Make sure that a part is what the run was begun with; one that is built untrained is drawn anew."""
        known = self._known().get(name)
        if known and isinstance(given := self.recipe.parts[name], str) and known.get("fingerprint") != fingerprint:
            msg = (
                f"{self.run.folder} was begun when the part {name}, {given}, had other weights ({known.get('fingerprint')}, now "
                f"{fingerprint}): it has been trained on since. Begin another --run, or name what it was then"
            )
            raise UserError(msg)

    def _keep(self, about: Table) -> None:
        self.run.folder.mkdir(parents=True, exist_ok=True)
        write_text(self._path, write_toml(self._known() | about))

    def _known(self) -> Table:
        known = read_toml_file(self._path) if self._path.exists() else {}
        if any(not isinstance(about, dict) for about in known.values()):
            msg = f"{self._path} must hold a table for each part: was it edited by hand?"
            raise UserError(msg)
        return known

    @property
    def _path(self) -> Path:
        return self.run.folder / "parts.toml"
