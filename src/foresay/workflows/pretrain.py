"""Pre-train a model on audio without labels: from a manifest and a recipe to a run folder."""

from collections.abc import Sequence
from pathlib import Path

from foresay.training.trainer import Progress
from foresay.workflows.train import run_recipe
from foresay.workflows.warm_start import WarmStart


def pretrain(
    recipe: str | Path,
    corpus: str | Path,
    run: str | Path,
    *,
    valid: str | Path | None = None,
    start: WarmStart | None = None,
    overrides: Sequence[str] = (),
    device: str | None = None,
) -> Progress:
    """Train a model that learns features from audio alone, or go on with a run that exists.

    `recipe`: a built-in name or a TOML file; `corpus`, `valid`: manifests; `start`: whose weights it begins with, instead of
    untrained ones; `overrides`: `section.key=value`.
    Returns how far the run is.

    Raises:
        UserError: the run was begun with another recipe or on another corpus, the recipe is of another kind, or does not fit the corpus.
    """
    return run_recipe("pretrain", recipe, corpus, run, valid=valid, start=start, overrides=overrides, device=device)
