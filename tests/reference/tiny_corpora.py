"""What tests make tiny copies of corpora of."""

from pathlib import Path

import numpy as np
import soundfile

from foresay.corpora.manifest import Item, Manifest

RATE = 16_000


def clip(path: Path, seconds: float = 0.1) -> None:
    """Write noise, and the folder that it lies in; another name is other noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(list(path.as_posix().encode()))
    soundfile.write(path, draw.uniform(-0.5, 0.5, round(seconds * RATE)), RATE)


def lines(path: Path, *texts: str) -> None:
    """Write a list."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{text}\n" for text in texts))


def items(folder: Path, name: str) -> list[Item]:
    """Read a manifest that was written."""
    return list(Manifest.open(folder / f"{name}.jsonl"))
