"""Reference curves: how a run of a built-in recipe went for us, to be drawn behind a user's run of it.

    recipes/SYSTEM/NAME.jsonl    {"kind": "about", "recipe": NAME, "corpus": …, "hours": …, "version": …, "settings": …}
                                 then lines as in metrics.jsonl, fewer: `benchmarks/record_curve.py RUN` makes the file

They lie beside the recipes, inside the package, so that an installed Foresay has them.
"""

from collections.abc import Mapping, Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from foresay.reports.record import Record
from foresay.results import read_lines
from foresay.version import __version__

RECIPES: Traversable = resources.files("foresay.recipes")

SHAPING = ("model", "data", "optimizer")
"""Sections of a recipe that shape the curve from the first update on."""

OF_THE_MACHINE = {"audio_rate", "data_wait"}
"""Scalars that say nothing about learning."""

MOST_LINES = 200


def reference_of(record: Record) -> Record | None:
    """Return the reference run of a run's recipe, if there is one: its name says what it is."""
    files = [folder / f"{record.recipe_name}.jsonl" for folder in RECIPES.iterdir() if folder.is_dir()]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        return None
    with resources.as_file(file) as path:
        about, *lines = read_lines(path)
    name = f"{about['recipe']} on {about['corpus']} ({about['hours']:.3g} h), Foresay {about['version']}"
    return Record(name, Path(), about["settings"], {}, tuple(lines), (), (), about["recipe"])


def differences(record: Record, reference: Record) -> list[str]:
    """Settings of a run that differ from those of its reference, as `section.key`."""
    pairs = {section: (record.recipe.get(section, {}), reference.recipe.get(section, {})) for section in SHAPING}
    return [f"{section}.{key}" for section, (mine, theirs) in pairs.items() for key in mine if mine[key] != theirs.get(key)]


def curve_lines(record: Record) -> list[dict[str, Any]]:
    """Return the lines of a run's reference curve: what it is, then its log, averaged until `MOST_LINES` of the training's are left."""
    train = record.lines_of("train")
    size = -(-len(train) // MOST_LINES) or 1
    corpus = record.data.get("train", {})
    about = {
        "kind": "about",
        "recipe": record.recipe_name,
        "corpus": Path(str(corpus.get("manifest", "unknown/"))).absolute().parent.name,
        "hours": corpus.get("hours", 0.0),
        "version": __version__,
        "settings": {section: record.recipe.get(section, {}) for section in SHAPING},
    }
    averaged = (_averaged(train[first : first + size]) for first in range(0, len(train), size))
    return [about, *averaged, *(_averaged([line]) for line in record.lines_of("valid"))]


def _averaged(lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Average the scalars of lines of one kind, to five figures, at the last one's step."""
    names = dict.fromkeys(key for line in lines for key in line)
    values = {
        name: [line[name] for line in lines if name in line] for name in names if name not in {"kind", "step", "epoch"} | OF_THE_MACHINE
    }
    means = {name: float(f"{sum(found) / len(found):.5g}") for name, found in values.items()}
    return {"kind": lines[-1]["kind"], "step": lines[-1]["step"], **means}
