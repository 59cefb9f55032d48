"""Foresay trains speech models on unlabelled audio, evaluates them, and puts them to use.

>>> import foresay
>>> model = foresay.load("runs/demo-acpc")  # doctest: +SKIP
>>> frames = model.features(waveforms, lengths)  # doctest: +SKIP

The names below are the whole public front; each is imported when it is first used, so `import foresay` is instant and loads no torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

from foresay.errors import AudioError, UserError
from foresay.version import __version__

if TYPE_CHECKING:
    from foresay.audio.read import read_audio
    from foresay.contracts import Batch, FeatureExtractor, Frames, Losses, SpeechModel, Term, Trainable
    from foresay.corpora.manifest import Interval, Item, Manifest, write_manifest
    from foresay.loading import load
    from foresay.monotonic import Alignment, monotonic_alignment
    from foresay.results import Result, read_results
    from foresay.workflows.catalog import list_baselines, list_models, list_recipes
    from foresay.workflows.compare import compare
    from foresay.workflows.corpus import check_corpus, corpus_stats, import_corpus, make_corpus, pack_corpus
    from foresay.workflows.demo import demo
    from foresay.workflows.doctor import doctor
    from foresay.workflows.evaluate import evaluate
    from foresay.workflows.export import export
    from foresay.workflows.extract import extract
    from foresay.workflows.pretrain import pretrain
    from foresay.workflows.report import report
    from foresay.workflows.reproduce import reproduce
    from foresay.workflows.warm_start import WarmStart

__all__ = [
    "Alignment",
    "AudioError",
    "Batch",
    "FeatureExtractor",
    "Frames",
    "Interval",
    "Item",
    "Losses",
    "Manifest",
    "Result",
    "SpeechModel",
    "Term",
    "Trainable",
    "UserError",
    "WarmStart",
    "__version__",
    "check_corpus",
    "compare",
    "corpus_stats",
    "demo",
    "doctor",
    "evaluate",
    "export",
    "extract",
    "import_corpus",
    "list_baselines",
    "list_models",
    "list_recipes",
    "load",
    "make_corpus",
    "monotonic_alignment",
    "pack_corpus",
    "pretrain",
    "read_audio",
    "read_results",
    "report",
    "reproduce",
    "write_manifest",
]

_HOMES = {
    "audio.read": ("read_audio",),
    "contracts": ("Batch", "FeatureExtractor", "Frames", "Losses", "SpeechModel", "Term", "Trainable"),
    "corpora.manifest": ("Interval", "Item", "Manifest", "write_manifest"),
    "loading": ("load",),
    "monotonic": ("Alignment", "monotonic_alignment"),
    "results": ("Result", "read_results"),
    "workflows.catalog": ("list_baselines", "list_models", "list_recipes"),
    "workflows.compare": ("compare",),
    "workflows.corpus": ("check_corpus", "corpus_stats", "import_corpus", "make_corpus", "pack_corpus"),
    "workflows.demo": ("demo",),
    "workflows.doctor": ("doctor",),
    "workflows.evaluate": ("evaluate",),
    "workflows.export": ("export",),
    "workflows.extract": ("extract",),
    "workflows.pretrain": ("pretrain",),
    "workflows.report": ("report",),
    "workflows.reproduce": ("reproduce",),
    "workflows.warm_start": ("WarmStart",),
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any public name may be asked for
    """Import a public name from where it lives (PEP 562)."""
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"foresay.{home}"), name)
    msg = f"module 'foresay' has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return __all__
