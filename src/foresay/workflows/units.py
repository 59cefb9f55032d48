"""Units: discrete symbols of any layer of any model, fitted on one's own audio or imported, and a corpus written in them.

MODEL, layer ──► k-means over a corpus, or centers from elsewhere ──► a run of `kmeans`, its encoder in it ──► units of a manifest, packed
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from json import dumps
from pathlib import Path

import torch
from torch import Tensor, nn

from foresay.building import describe
from foresay.contracts import StateRecognizer, Tokenizer
from foresay.corpora.labels import ABOUT, CODES, ENDS, LEFT_OUT, FrameLabels, read_about
from foresay.corpora.manifest import Manifest
from foresay.encoding.labels import are_made, make_labels
from foresay.errors import UserError, with_article
from foresay.files import finished, read_text, write_list
from foresay.fingerprint import of_file
from foresay.hub.kmeans import read_centers
from foresay.loading import load
from foresay.locks import exclusive
from foresay.models.units.hmm_states import HMMStates, HMMStatesSettings
from foresay.models.units.kmeans import KMeansUnits
from foresay.results import Result
from foresay.runs import Data, Run
from foresay.statistics.unit_rates import merged_runs
from foresay.training.devices import find_process
from foresay.training.recipe import Recipe, read_recipe
from foresay.training.trainer import described
from foresay.workflows.entry import refuse_other_recipe
from foresay.workflows.evaluate import evaluate
from foresay.workflows.parts import Parts
from foresay.workflows.train import run_recipe


def fit_units(
    model: str,
    corpus: str | Path,
    run: str | Path,
    *,
    layer: str,
    clusters: int,
    hours: float | None = None,
    frames: int | None = None,
    seed: int = 0,
    device: str | None = None,
) -> Tokenizer:
    """Find the centers of clusters of a model's layer in frames of a corpus, into a run of `kmeans`; return its tokenizer.

    `model`: a run, a model folder, a baseline, `hf:NAME`, `untrained:MODEL`. `hours`, `frames`: of how much of the corpus, drawn at random;
    None: as of the recipe `kmeans`.

    Raises:
        UserError: there are fewer frames than clusters, the model has no such layer, or the run was begun otherwise.
    """
    limits = {name: value for name, value in (("hours", hours), ("frames", frames)) if value is not None}
    overrides = _overrides(model, layer, clusters, seed) + [f"model.{name}={value}" for name, value in limits.items()]
    run_recipe("train", "kmeans", corpus, run, overrides=overrides, device=device)
    return load_tokenizer(run)


def import_units(model: str, centers: str | Path, run: str | Path, *, layer: str) -> Tokenizer:
    """Make a run of `kmeans` of centers that were found elsewhere in a layer of this model (`hub/kmeans.py`); return its tokenizer.

    Raises:
        UserError: the file holds no centers, they are not of the layer's size, or the run was begun otherwise.
    """
    path = Path(centers)
    found = read_centers(path)
    recipe, place = read_recipe("kmeans", _overrides(model, layer, len(found), 0)), Run(Path(run))
    refuse_other_recipe(place, recipe)
    source = Data(str(centers), 0, 0.0, of_file(path))
    if begun := place.read_data().get("train"):
        if begun.digest != source.digest:
            msg = f"{place.folder} was begun with other centers ({begun.manifest}): choose another --run"
            raise UserError(msg)
    elif place.folder.exists() and finished(place.folder.iterdir()):
        msg = f"{place.folder} is not empty and is no run: choose another --run"
        raise UserError(msg)
    _write_run(place, recipe, found, source)
    return load_tokenizer(run)


def _overrides(model: str, layer: str, clusters: int, seed: int) -> list[str]:
    return [f"parts.encoder={dumps(model)}", f"model.layer={dumps(layer)}", f"model.clusters={clusters}", f"trainer.seed={seed}"]


def _write_run(run: Run, recipe: Recipe, centers: Tensor, source: Data) -> None:
    """Write a run as if it had been fitted, of data that are a file of centers (K, D)."""
    parts = Parts(recipe, {}, run, find_process("cpu"), None)
    units = recipe.build_model(parts.of_model)
    assert isinstance(units, KMeansUnits)  # noqa: S101 - the recipe's model
    if (size := units.kmeans.centers.shape[1]) != centers.shape[1]:
        msg = (
            f"{source.manifest} holds centers of {centers.shape[1]} dimensions, and layer {units.layer} of {recipe.parts['encoder']} has "
            f"{size}: they were found in another layer, or of another model"
        )
        raise UserError(msg)
    units.kmeans.centers.copy_(centers)
    with run.alone():
        if not run.checkpoints():
            run.begin(recipe.toml(), {"train": source})
            parts.record()
            run.save(1, units.state_dict(), {}, described(recipe.name, 1, describe(units)), keep=1)


def load_tokenizer(name: str | Path, device: str = "cpu") -> Tokenizer:
    """Load units: a run of `kmeans`, or a recognizer by hidden Markov models, whose states are units; `RUN#tokenizer` of what has them.

    Raises:
        UserError: it has none.
    """
    loaded: nn.Module = load(name, device)
    units = HMMStates(HMMStatesSettings(), loaded).eval() if isinstance(loaded, StateRecognizer) else loaded
    if not isinstance(units, Tokenizer):
        msg = (
            f"{name} is {with_article(type(loaded))}, which gives no units: `foresay units fit {name} --layer L --clusters K …` finds some"
        )
        raise UserError(msg)
    return units


@dataclass(frozen=True)
class EncodedUnits:
    """A corpus written in units."""

    tokenizer: Tokenizer
    manifest: Manifest
    labels: FrameLabels
    left_out: list[str] = field(default_factory=list)
    """Recordings that could not be read, and why."""

    @property
    def too_short(self) -> int:
        """How many recordings hold no frame."""
        return sum(not len(self.labels.of_item(item)) for item in range(len(self.manifest))) - len(self.left_out)

    def write_text(self, path: str | Path, *, merged: bool) -> None:
        """Write a line for each recording that has units, `ID|71 71 11 8`, as fairseq's scripts do; `merged`: runs of equal ones as one."""
        lines = []
        for item, name in enumerate(self.manifest.ids):
            units = self.labels.of_item(item)
            kept = merged_runs(units)[0] if merged else units
            if len(units):
                lines.append(f"{name}|{' '.join(map(str, kept.tolist()))}")
        write_list(Path(path), lines)


OURS = {CODES, ENDS}
"""Files of units that may be whole where the folder is not yet."""


def encode_units(units: str | Path, corpus: str | Path, out: str | Path, *, device: str | None = None) -> EncodedUnits:
    """Write the units of every frame of every recording of a manifest into a folder (`corpora/labels.py`); go on where that was stopped.

    Raises:
        UserError: the folder has the units of another tokenizer or manifest, or other files; or there is no recording to be encoded.
    """
    place, manifest, folder = str(find_process(device).device), Manifest.open(corpus), Path(out)
    tokenizer = load_tokenizer(units, place)
    with exclusive(folder, "Wait until it has ended, or choose another --out"):
        if (about := read_about(folder)) and not are_made(folder, tokenizer.fingerprint, manifest):
            what = "corpus" if about.get("tokenizer") == tokenizer.fingerprint else "tokenizer"
            msg = f"{folder / ABOUT} is of the units of another {what}: choose another --out, or delete this one"
            raise UserError(msg)
        if about is None and (others := [path.name for path in finished(folder.iterdir()) if path.name not in OURS]):
            msg = f"{folder} holds other things than units, such as {others[0]}: choose another --out, so that nothing of it is lost"
            raise UserError(msg)
        with torch.no_grad():
            labels = make_labels(tokenizer, {folder.name: manifest}, folder.parent, device=place)[folder.name]
    left_out = folder / LEFT_OUT
    return EncodedUnits(tokenizer, manifest, labels, read_text(left_out).splitlines() if left_out.exists() else [])


MEASURES = ("units:unigram", "abx:phone", "speaker:mean")
"""What describes units, each beside the layer that they are of."""
CONTROL = "logmel"
"""The baseline whose units stand beside any others."""


@dataclass(frozen=True)
class DescribedUnits:
    """What was found of units, and what was not."""

    results: list[Result]
    left_out: dict[str, str]
    """Measures that were left out, or `control`, and why."""


def describe_units(
    units: str | Path,
    corpus: str | Path,
    train_corpus: str | Path | None = None,
    *,
    options: Sequence[str] = (),
    out: str | Path | None = None,
    seed: int = 0,
    device: str | None = None,
    again: bool = False,
) -> DescribedUnits:
    """Measure units on a manifest by each of `MEASURES`: use, bits, durations, phones, ABX, and what of the speaker is left in them.

    Beside them stands a control: as many units of log-mel, found on `train_corpus`, a run in the folder `control-logmel-K` of the units'
    run, or of `out`. What the corpora cannot show is left out, and said.
    `options`: `MEASURE.FIELD=VALUE` for fields of a measure's protocol (ABX wants two of them).

    Raises:
        UserError: the units cannot be loaded, or are in no folder of their own and there is no `out`; a manifest cannot be read; the
            control that is there was found otherwise; nothing can be measured.
    """
    tokenizer, changes, test = load_tokenizer(units), _by_measure(options), Manifest.open(corpus)
    if out is None and not Path(units).is_dir():
        msg = f"{units} is no folder of its own to keep numbers and the control in: give --out"
        raise UserError(msg)
    models, left_out = [units], dict[str, str]()
    if tokenizer.layer == CONTROL:
        left_out["control"] = f"these units are of {CONTROL} themselves"
    elif train_corpus is None or Manifest.open(train_corpus).digest == test.digest:
        left_out["control"] = f"units of {CONTROL} are found on another corpus than they are tested on: give --train-corpus"
    else:
        place = Path(out or units) / f"control-{CONTROL}-{tokenizer.vocabulary}"
        try:
            fit_units(CONTROL, train_corpus, place, layer=CONTROL, clusters=tokenizer.vocabulary, seed=seed, device=device)
        except UserError as error:
            msg = f"the control of `describe`, units of {CONTROL}: {error} Here that is another --out"
            raise UserError(msg) from error
        models.append(place)
    results: list[Result] = []
    for measure, own in changes.items():
        try:
            results += evaluate(
                models, corpus, train_corpus, measures=[measure], options=own, out=out, seed=seed, device=device, again=again
            )
        except UserError as error:
            left_out[measure] = str(error)
    if changes.keys() <= left_out.keys():
        msg = f"nothing can be measured of {units} on {test.name}. {MEASURES[0]}: {left_out[MEASURES[0]]}"
        raise UserError(msg)
    return DescribedUnits(results, left_out)


def _by_measure(options: Sequence[str]) -> dict[str, list[str]]:
    """Sort options by the measure that they change."""
    names = {measure.partition(":")[0]: measure for measure in MEASURES}
    found: dict[str, list[str]] = {measure: [] for measure in MEASURES}
    for option in options:
        name = option.partition(".")[0]
        if name not in names:
            msg = f"--option takes MEASURE.FIELD=VALUE, of {', '.join(names)}, not {option!r}"
            raise UserError(msg)
        found[names[name]].append(option)
    return found
