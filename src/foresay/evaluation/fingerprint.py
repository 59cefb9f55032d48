"""What makes two computations the same: short digests of weights, files and settings."""

import hashlib
from pathlib import Path

import torch
from torch import nn

from foresay.contracts import Extractor


def fingerprint(*parts: object) -> str:
    """Digest what the parts print as: 16 hexadecimal digits."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=8).hexdigest()


def of_file(path: Path) -> str:
    """Digest a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8)).hexdigest()


def of_weights(extractor: Extractor) -> str:
    """Digest an extractor's class and the weights it has, about a gigabyte a second."""
    digest = hashlib.blake2b(type(extractor).__qualname__.encode(), digest_size=8)
    weights = extractor.state_dict() if isinstance(extractor, nn.Module) else {}
    for name, tensor in weights.items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
