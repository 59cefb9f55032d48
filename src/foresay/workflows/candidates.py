"""Who is measured: the models asked for and, beside them, untrained copies and baselines; what each is, and what it is called."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from foresay import draws
from foresay.building import untrained_copy
from foresay.contracts import Extractor, SpeechModel, Tokenizer
from foresay.encoding.kept import KeptFeatures
from foresay.encoding.subjects import Subject
from foresay.encoding.unit_frames import UnitFrames
from foresay.errors import UserError
from foresay.fingerprint import of_model, of_saved, weights_of
from foresay.loading import as_extractor, is_foreign, load, locate
from foresay.reports.comparisons import UNTRAINED
from foresay.runs import Run
from foresay.settings import list_names, read_toml_file

BESIDE = ("logmel", "mfcc", "pixels")
"""The baselines that stand beside every model; another, which is much like one of them, is measured where it is asked for."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A model to be measured, or a baseline."""

    subject: Subject
    fingerprints: Mapping[Subject, str]
    """What the model, and its untrained copy, are, wherever they lie and whatever they are called."""
    run: Path | None = None
    """The folder of the run it is."""
    finished: bool = True
    """Whether it is the run itself, and not one of its steps."""
    baseline: bool = False
    """Whether nobody asked for it, so that it may be left out."""

    @property
    def subjects(self) -> list[Subject]:
        """The model, and its untrained copy if it has one."""
        return list(self.fingerprints)

    @property
    def alone(self) -> Self:
        """The same without its untrained copy."""
        subject = replace(self.subject, untrained=None)
        return replace(self, subject=subject, fingerprints={subject: self.fingerprints[self.subject]})


def find_candidates(models: Sequence[str | Path], layers: Sequence[str] | None, seed: int, device: str) -> list[Candidate]:
    """Load the models, and after them baselines, which have the layers they have; some are always there.

    Raises:
        UserError: one cannot be loaded, lacks a layer, or is called as an untrained copy is.
    """
    baselines = list_names("foresay.baselines")
    given = {folder_and_step(model): str(model) for model in models if str(model) not in baselines and not is_foreign(str(model))}
    foreign = list(dict.fromkeys(str(model) for model in models if is_foreign(str(model))))
    names = short_names([folder for folder, _ in given], taken={*baselines, *foreign})
    for folder in names:
        if folder.name.endswith(UNTRAINED):
            msg = f"{folder} ends as the names of untrained copies do, and its numbers would be taken for those of one: rename the folder"
            raise UserError(msg)
    candidates: list[Candidate] = []
    kept = KeptFeatures()
    copies: dict[Path, Subject] = {}  # shared by all steps of a run
    for (folder, step), text in given.items():
        extractor = _extractor(text, device)
        run = folder if Run(folder).recipe.exists() else None
        chosen, side = tuple(layers or extractor.layer_names), _image_side(run)
        labels = Run(run).labels if run else None
        subject = Subject(names[folder], extractor, chosen, step, image_side=side, labels=labels, trained_on=_trained_on(run), kept=kept)
        if isinstance(extractor, SpeechModel):
            if folder not in copies:
                copy = _untrained(extractor, seed, device)
                copies[folder] = replace(subject, name=f"{subject.name}{UNTRAINED}", model=copy, step=None)
            subject = replace(subject, untrained=copies[folder])
        of_copy = {subject.untrained: of_model(subject.untrained.model)} if subject.untrained else {}
        fingerprints = {subject: of_saved(weights_of(extractor), read_toml_file(locate(text)[0])), **of_copy}
        candidates.append(Candidate(subject, fingerprints, run, finished=Path(text).resolve() == folder))
    asked = [name for name in baselines if name in map(str, models) and name not in BESIDE]
    for name in (*foreign, *asked, *BESIDE):
        extractor = _extractor(name, device)
        chosen = tuple(layers or extractor.layer_names) if name in foreign else extractor.layer_names
        subject = Subject(name, extractor, chosen, kept=kept)
        candidates.append(Candidate(subject, {subject: of_model(extractor)}, baseline=name in BESIDE))
    return candidates


def _extractor(name: str, device: str) -> Extractor:
    """Load what makes frames; of a tokenizer its units are frames, beside the layer that they are of."""
    loaded = load(name, device)
    alone = isinstance(loaded, Tokenizer) and not isinstance(loaded, Extractor)
    return UnitFrames(loaded).eval() if alone else as_extractor(loaded, name)


def folder_and_step(model: str | Path) -> tuple[Path, int | None]:
    """Take `RUN@step` apart; a model without a step says itself how far it was trained."""
    folder, at, step = str(model).rpartition("@")
    if at and step.isdigit():
        return Path(folder).resolve(), int(step)
    description, _ = locate(str(model))
    return Path(model).resolve(), read_toml_file(description).get("step")


def short_names(folders: Sequence[Path], taken: Collection[str] = ()) -> dict[Path, str]:
    """Name folders by as few of their last parts as distinguish all of them, and from the names that are `taken`."""
    different = set(folders)
    deepest = max((len(folder.parts) for folder in different), default=0)
    for depth in range(1, deepest + 1):
        names = {folder: "/".join(folder.parts[-depth:]) for folder in different}
        if len({*names.values(), *taken}) == len(different) + len(set(taken)):
            break
    else:
        return {folder: str(folder) for folder in different}
    return names


def _image_side(run: Path | None) -> int:
    """Pixels of the pictures that a run learnt from, or as many as in any recipe that does not say."""
    recipe = read_toml_file(Run(run).recipe) if run else {}
    return int(recipe.get("data", {}).get("image_side", Subject.image_side))


def _trained_on(run: Path | None) -> frozenset[str]:
    """Digests of what a run was trained on."""
    data = Run(run).read_data() if run else {}
    return frozenset(one.digest for purpose, one in data.items() if purpose == "train" and one.digest)


def _untrained(model: SpeechModel, seed: int, device: str) -> Extractor:
    """Build the model anew, untrained."""
    with draws.torch_seeded("weights", seed):
        copy = untrained_copy(model)
    assert isinstance(copy, SpeechModel)  # noqa: S101 - as what it is a copy of
    return copy.to(device).eval()
