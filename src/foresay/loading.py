"""`foresay.load`: any extractor of audio or image features, by one name.

A run (`runs/acpc`), a run at a step (`runs/acpc@1000`), a model folder (`model.toml` with `model.safetensors`),
a baseline (`mfcc`, `plp`, `logmel`, `yin`, `pixels`), a checkpoint of the Hugging Face hub, by name or folder (`hf:NAME_OR_FOLDER`), or a
`.pt` file of fairseq. Of other people's wav2vec 2.0 and HuBERT only the tensors are taken, into the networks of this package;
of their language models of text the body, for units to be modelled with (`twist`).
After a `#` stands the part of a model that is meant: `runs/asr#encoder`.
"""

import contextlib
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from foresay.building import BASELINES, baseline, build, is_baseline
from foresay.contracts import Extractor, LanguageModel, Model, SpeechModel
from foresay.errors import UserError, nearest, with_article
from foresay.hub.causal_lm import is_causal_lm, read_body
from foresay.hub.fairseq import read_file
from foresay.hub.folders import fetch, is_ours, read_config, read_folder
from foresay.hub.huggingface import read_model
from foresay.hub.recognizers import is_recognizer, read_recognizer
from foresay.models.generation.ngram import NGram
from foresay.runs import DESCRIPTION, WEIGHTS, Run, read_weights, verify
from foresay.settings import list_names, parts_of, read_toml_file
from foresay.text.arpa import read_arpa
from foresay.trust import named_in, trusting

HUB = "hf:"
FILE = ".pt"
ARPA = (".arpa", ".arpa.gz")
PART, ENCODER = "#", "encoder"


def load(name: str | Path, device: str = "cpu", *, trust: bool = False, **overrides: object) -> Any:  # noqa: ANN401 - a SpeechModel or a baseline: an nn.Module too
    """Load a model or a baseline, in `eval()` mode.

    `trust`: whether a folder may name code outside this package, or bring it along, to be run.
    `overrides`: settings that other people's wav2vec 2.0 or HuBERT shall have otherwise: `standardize`, where its preprocessor is known to
    be wrong; `padding_in_norm=True`, so that padding changes features as it does in the published implementations; of a recognizer
    `normalization`, where its folder does not say it.

    Examples:
        >>> model = load("mfcc")
        >>> model.layer_names
        ('mfcc',)
    """
    with trusting(trust):
        return _loaded(str(name), device, overrides)


def load_extractor(name: str | Path, device: str = "cpu") -> Extractor:
    """Load what makes frames, as `load` does.

    Raises:
        UserError: the model makes none.
    """
    return as_extractor(load(name, device), name)


def as_extractor(loaded: nn.Module, name: str | Path) -> Extractor:
    """Make sure that what was loaded by a name makes frames.

    Raises:
        UserError: it makes none.
    """
    if not isinstance(loaded, Extractor):
        msg = f"{name} is {with_article(type(loaded))}, which gives no features: name the encoder that it is made of, or another model"
        raise UserError(msg)
    return loaded


def load_language_model(name: str | Path, device: str = "cpu") -> LanguageModel:
    """Read an ARPA file, or load a model that is a language model, as `load` does.

    Raises:
        UserError: it is none.
    """
    text = str(name)
    if text.endswith(ARPA):
        return NGram.of(read_arpa(text)).to(device)
    if Path(text).is_file():
        msg = f"{name} is a file, and no ARPA file by its name: rename it, so that it ends in {' or '.join(ARPA)}"
        raise UserError(msg)
    model = load(text, device)
    if not isinstance(model, LanguageModel):
        msg = f"{name} is {with_article(type(model))}, which predicts no symbols from those before them: `foresay lm train` makes what does"
        raise UserError(msg)
    return model


def _loaded(text: str, device: str, overrides: dict[str, object]) -> nn.Module:
    name, part = _taken_apart(text)
    if name.startswith(HUB) or name.endswith(FILE):
        model = _foreign(name, overrides, bare=part == ENCODER)
    elif overrides:
        msg = f"{text} has the settings that it was trained with; {', '.join(overrides)} can be changed of other people's checkpoints only"
        raise UserError(msg)
    else:
        model = baseline(name) if is_baseline(name) else _own(name)
    return (_part_of(model, part, name) if part else model).to(device).eval()


def is_foreign(name: str) -> bool:
    """Whether a name means a checkpoint of other people's, or a part of a model: neither is a run or a model folder."""
    whole, part = _taken_apart(name)
    return bool(part) or whole.startswith(HUB) or whole.endswith(FILE)


def _taken_apart(name: str) -> tuple[str, str]:
    """Return the model that a name means, and which part of it; "": all."""
    whole, mark, part = name.rpartition(PART)
    return (whole, part) if mark and part.isidentifier() and not Path(name).exists() else (name, "")


def _part_of(model: nn.Module, part: str, name: str) -> nn.Module:
    parts = parts_of(type(model)) if isinstance(model, Model) else {}
    if part == ENCODER and isinstance(model, SpeechModel):
        return model  # of a checkpoint that was read without its head
    if part not in parts:
        what = f"its parts are {', '.join(parts)}" if parts else "it is made of none"
        msg = f"{name} is {with_article(type(model))}, which has no part {part!r}: {what}"
        raise UserError(msg)
    found: nn.Module = getattr(model, part)
    return found


def locate(name: str) -> tuple[Path, Path]:
    """Find the description and the weights of a run, a run at a step or a model folder."""
    folder, at, step = name.rpartition("@")
    if at and step.isdigit():
        run = Run(Path(folder))
        saved = run.checkpoint(int(step)).folder
        described = saved if (saved / DESCRIPTION).exists() else run.folder / "model"  # where older versions had it
        return described / DESCRIPTION, saved / WEIGHTS
    path = Path(name)
    newest = [checkpoint.folder for checkpoint in Run(path).checkpoints()[-1:]]  # while another is about to be published
    for place in (path / "model", path, *newest):
        if (place / DESCRIPTION).is_file() and (place / WEIGHTS).is_file():
            return place / DESCRIPTION, place / WEIGHTS
    if (path / "recipe.toml").is_file():
        msg = f"the run {path} has saved no model yet: let it reach its first checkpoint (trainer.save_every)"
    elif path.is_dir():
        msg = f"{path} is neither a run nor a model folder: it holds no {DESCRIPTION} with {WEIGHTS}"
    else:
        msg = f"{name!r} is neither a folder nor a baseline: {nearest(name, list_names(BASELINES))}"
    raise UserError(msg)


def _own(name: str) -> nn.Module:
    """Load a model of this package from a run or a folder, whole: not half of one that a run replaces meanwhile."""
    while True:
        found = _found(name)
        try:
            return _read(found.description, found.weights)
        except (OSError, UserError):
            if _found(name) == found:
                raise


class _Found(NamedTuple):
    description: Path
    weights: Path
    folders: tuple[int, ...]
    """What the file system numbers them by: another one in the same place has another number."""


def _found(name: str) -> _Found:
    while True:
        description, weights = locate(name)
        with contextlib.suppress(FileNotFoundError):
            return _Found(description, weights, tuple(path.parent.stat().st_ino for path in (description, weights)))


def _read(description: Path, weights: Path) -> nn.Module:
    verify(weights.parent, (WEIGHTS,))
    table = read_toml_file(description).get("model")
    if not isinstance(table, dict):
        msg = f"{description} describes no model: it must have a table [model] with a name and settings"
        raise UserError(msg)
    with named_in("model folder"):
        model = build(table)
    try:
        model.load_state_dict(read_weights(weights))
    except RuntimeError as error:
        why = str(error).splitlines()[0]
        msg = f"{weights} does not fit the model that {description} describes ({why}): were the two copied together, whole?"
        raise UserError(msg) from error
    verify(description.parent, (DESCRIPTION,))  # last: of one that does not even fit there is more to say
    return model


def _foreign(name: str, overrides: dict[str, object], *, bare: bool) -> nn.Module:
    """Load a checkpoint into our own network if it is known, or else into that of transformers. `bare`: of a recognizer, its encoder."""
    if not name.startswith(HUB):
        return read_file(Path(name), overrides)
    folder = fetch(name.removeprefix(HUB))
    config = read_config(folder)
    if is_ours(config):
        return read_recognizer(folder, overrides) if is_recognizer(config) and not bare else read_folder(folder, overrides)
    if overrides:
        msg = f"{name} is encoded by transformers' own network, of which Foresay changes nothing: leave out {', '.join(overrides)}"
        raise UserError(msg)
    return read_body(folder) if is_causal_lm(config) else read_model(folder)
