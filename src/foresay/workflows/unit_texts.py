"""Texts of units: what a model of tokens learns from, each recording's units as numbers with spaces between ("71 11 8").

    RUN/labels/train/codes.npy, ends.npy     the units of every frame          units.jsonl     in the form that is modelled, as texts

They are read as any texts are: audio is encoded once, before the first update.
"""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch

from foresay.contracts import TokenModel, Tokens
from foresay.corpora.item import Item
from foresay.corpora.labels import FrameLabels
from foresay.corpora.manifest import Manifest, write_manifest

TEXTS = "units.jsonl"


def write_unit_texts(model: TokenModel, labels: FrameLabels, manifest: Manifest, folder: Path) -> None:
    """Write the units of a manifest's recordings as texts into the folder of their labels; a recording without labels has no text."""
    items = []
    for place, item in enumerate(manifest):
        ids = torch.from_numpy(labels.of_item(place))
        tokens = Tokens(ids[None, None], torch.tensor([len(ids)]), labels.classes, str(labels.about["tokenizer"]), labels.frame_rate)
        items.append(Item(item.id, speaker=item.speaker, text=as_text(model.modelled(tokens))))
    write_manifest(folder / TEXTS, items)


def open_unit_texts(manifest: Manifest, folder: Path) -> Manifest:
    """Open the texts that were written for a manifest."""
    texts = Manifest.open(folder / TEXTS)
    texts.given, texts.name = manifest.given, f"the units of {manifest.name}"
    return texts


@contextlib.contextmanager
def imagined_unit_texts(model: TokenModel, manifest: Manifest) -> Iterator[Manifest]:
    """Make texts up, as long as they can be: one unit after the other, no two alike in a row. No audio is encoded."""
    encoder, units = model.tokenizer.encoder, model.tokenizer.vocabulary
    counts = encoder.frame_count(torch.from_numpy(manifest.lengths(encoder.sample_rate)), model.tokenizer.layer).tolist()
    with tempfile.TemporaryDirectory() as folder:
        texts = (" ".join(str(number % units) for number in range(count)) for count in counts)
        write_manifest(Path(folder) / TEXTS, (Item(name, text=text) for name, text in zip(manifest.ids, texts, strict=True)))
        yield open_unit_texts(manifest, Path(folder))


def as_text(tokens: Tokens) -> str:
    """Write the symbols of one utterance, of a single level, as text."""
    return " ".join(map(str, tokens.ids[0, 0, : int(tokens.lengths[0])].tolist()))
