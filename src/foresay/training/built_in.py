"""The recipes that come with the package, as they are written. Nothing here imports torch."""

import functools
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType

_GRID = {"k12": (12, 12), "k10": (10, 12), "k6": (6, 12), "k4": (4, 12), "k10-m16": (10, 16), "k12-m20": (12, 20)}

RETIRED = {
    f"acpc-{cell}": f"it is acpc with --set model.predictions={predictions} --set model.matched={matched}, "
    "and `foresay reproduce acpc` trains all of its paper"
    for cell, (predictions, matched) in _GRID.items()
}
"""Recipes that are no files any more, and where they went."""


@functools.cache
def built_in() -> Mapping[str, str]:
    """Text of every recipe that comes with the package, by name: a folder a system, in it a file a recipe. Read once."""
    folders = [folder for folder in resources.files("foresay.recipes").iterdir() if folder.is_dir()]
    files = [file for folder in folders for file in folder.iterdir() if file.name.endswith(".toml")]
    files.sort(key=lambda file: file.name)
    return MappingProxyType({file.name.removesuffix(".toml"): file.read_text(encoding="utf-8") for file in files})
