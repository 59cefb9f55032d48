"""Fingerprints: short digests of weights, files and settings, equal for two computations that are the same."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from foresay.contracts import Extractor, Model
from foresay.errors import UserError
from foresay.settings import Table, parts_of


def fingerprint(*parts: object) -> str:
    """Digest what the parts print as: 16 hexadecimal digits."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=8).hexdigest()


def of_file(path: Path) -> str:
    """Digest a file's bytes.

    Raises:
        UserError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8)).hexdigest()
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        msg = f"{path} cannot be read: {getattr(error, 'strerror', None) or error}"
        raise UserError(msg) from error


def of_tensors(weights: Mapping[str, Tensor]) -> str:
    """Digest weights by their names, whatever their order and the precision they are stored in, about a gigabyte a second."""
    digest = hashlib.blake2b(digest_size=8)
    for name, tensor in sorted(weights.items()):
        values = tensor.detach().cpu().contiguous()
        values = values.float() if values.is_floating_point() else values
        digest.update(f"{name} {values.dtype} {tuple(values.shape)}".encode())
        digest.update(values.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def of_saved(weights: Mapping[str, Tensor], description: Table) -> str:
    """Digest a saved model: its weights, and of its `model.toml` the model's name and settings, for weights alone make no features."""
    return fingerprint(of_tensors(weights), json.dumps(description.get("model"), sort_keys=True, default=str))


def of_weights(model: Extractor | nn.Module) -> str:
    """Digest a model's class and the weights it has."""
    return fingerprint(type(model).__qualname__, of_tensors(weights_of(model)))


def weights_of(model: Extractor | nn.Module) -> dict[str, Tensor]:
    """Return the weights of a model by their names; some extractors have none."""
    return model.state_dict() if isinstance(model, nn.Module) else {}


def of_model(model: Extractor | nn.Module) -> str:
    """Digest all that a model's output comes from: class, weights and, of a model of this package, settings and parts."""
    if not isinstance(model, Model):
        return fingerprint(of_weights(model), None)
    parts = {name: of_model(getattr(model, name)) for name in parts_of(type(model))}
    return fingerprint(of_weights(model), model.settings, *([parts] if parts else []))
