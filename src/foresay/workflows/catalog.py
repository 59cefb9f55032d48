"""What the package holds: its models, baselines and recipes, read from their files without importing them."""

from foresay.errors import UserError, nearest
from foresay.settings import first_line, keys, list_names
from foresay.training.built_in import RETIRED, built_in

CONTRACTS = {
    "SpeechModel": "learn features of audio",
    "ImageExtractor": "learn features of images",
    "Tokenizer": "make units of audio",
    "PitchEncoder": "measure and encode pitch",
    "SpeakerEncoder": "know voices",
    "Recognizer": "recognize speech",
    "LanguageModel": "predict what comes next in text",
    "TokenModel": "predict what comes next in units, and continue speech",
    "Synthesizer": "speak units",
}
"""What a model can be for, by the contract that it fulfils. A model of several contracts is listed under each."""


def list_models() -> dict[str, str]:
    """Return the models by name, each with the first line of its docstring."""
    return _first_lines("foresay.models")


def list_models_by_contract() -> dict[str, dict[str, str]]:
    """Return, by contract, the models that fulfil it by name, each with the first line of its docstring; of no model, no contract."""
    found = {contract: _first_lines("foresay.models", contract) for contract in CONTRACTS}
    return {contract: models for contract, models in found.items() if models}


def list_families() -> dict[str, str]:
    """Return the kinds of checkpoints that `hf:NAME` can be, each with what encodes the audio then."""
    own = dict.fromkeys(keys("foresay.hub.wav2vec2", "FAMILIES"), "read into Foresay's own network of that name")
    return own | {"others": "encoded by the network of transformers (extra hf), if it takes waveforms through convolutions"}


def list_baselines() -> dict[str, str]:
    """Return the features that need no training (`mfcc`, …), each with the first line of its docstring."""
    return _first_lines("foresay.baselines")


def list_recipes() -> dict[str, str]:
    """Return the recipes of the package by name, each with the comment on its first line."""
    return {name: _leading_comment(text) for name, text in built_in().items()}


def recipe_text(name: str) -> str:
    """Return a recipe of the package as it is written."""
    recipes = built_in()
    if name not in recipes:
        msg = f"there is no recipe {name!r}: {RETIRED.get(name) or nearest(name, recipes)}"
        raise UserError(msg)
    return recipes[name]


def _first_lines(package: str, base: str | None = None) -> dict[str, str]:
    return {name: first_line(package, name) for name in list_names(package, base)}


def _leading_comment(text: str) -> str:
    first, *_ = text.splitlines() or [""]
    return first.removeprefix("#").strip() if first.startswith("#") else ""
