"""Items as vectors: each once, in order, of what the model takes."""

import json
from pathlib import Path

import pytest
import torch

from foresay.baselines.logmel import LogMel
from foresay.baselines.pixels import Pixels
from foresay.contracts import Frames, ImageExtractor
from foresay.corpora.manifest import Manifest
from foresay.encoding.subjects import Subject
from foresay.errors import UserError
from foresay.evaluation.items.items import item_labels, item_vectors, shared_modalities
from foresay.layers.pooling import pooled
from reference.pairs import CLASSES, senses, write_pairs

pytest.importorskip("PIL")


def test_pooling_leaves_padding_out() -> None:
    values = torch.arange(12.0).view(2, 3, 2)
    assert pooled(values, torch.tensor([2, 3]), "last").tolist() == [[2, 3], [10, 11]]
    assert pooled(values, torch.tensor([2, 3]), "mean").tolist() == [[1, 2], [8, 9]]


@pytest.mark.parametrize("how", ["mean", "last"])
def test_every_item_has_its_vector_in_the_order_of_the_manifest(tmp_path: Path, how: str) -> None:
    corpus = write_pairs(tmp_path / "test.jsonl", 40)
    expected = torch.eye(4)[torch.arange(40) % 3].tolist()
    vectors = item_vectors(Subject("both", senses(), ("level",)), corpus, how)
    assert {modality: layers["level"].tolist() for modality, layers in vectors.items()} == {"audio": expected, "image": expected}
    assert item_labels(corpus) == [CLASSES[number % 3] for number in range(40)]


class Ramp(ImageExtractor):
    """Five patches, which are numbered."""

    layer_names = ("number",)

    def image_features(self, images: torch.Tensor, layers: object = None) -> Frames:  # noqa: ARG002
        return Frames({"number": torch.arange(5.0).expand(len(images), 5)[..., None]}, {"number": torch.full((len(images),), 5)}, {})


def test_of_patches_the_mean_or_the_last(tmp_path: Path) -> None:
    corpus = write_pairs(tmp_path / "test.jsonl", 2)
    found = {how: item_vectors(Subject("ramp", Ramp(), ("number",)), corpus, how)["image"]["number"].tolist() for how in ("mean", "last")}
    assert found == {"mean": [[2.0], [2.0]], "last": [[4.0], [4.0]]}


def test_a_model_is_given_what_it_takes_in_the_size_it_knows(tmp_path: Path) -> None:
    pairs, clips, pictures = (
        write_pairs(tmp_path / name / "test.jsonl", 3, halves=halves)
        for name, halves in (("pairs", ("audio", "image")), ("clips", ("audio",)), ("pictures", ("image",)))
    )
    assert list(item_vectors(Subject("clips", senses("audio"), ("level",)), pairs, "mean")) == ["audio"]
    of_images = senses("image")
    assert list(item_vectors(Subject("images", of_images, ("level",), image_side=8), pairs, "mean")) == ["image"]
    assert of_images.sides == {8}
    assert [shared_modalities(senses(), corpus) for corpus in (pairs, clips, pictures)] == [("audio", "image"), ("audio",), ("image",)]
    assert [shared_modalities(LogMel(), corpus) for corpus in (pairs, clips, pictures)] == [("audio",), ("audio",), ()]
    assert [shared_modalities(Pixels(), corpus) for corpus in (pairs, clips, pictures)] == [("image",), (), ("image",)]


def changed(corpus: Manifest, item: int, **keys: object) -> Manifest:
    """Write the manifest anew, with other keys of an item; None is none."""
    lines = [json.loads(line) for line in corpus.path.read_text().splitlines()]
    lines[item] = {key: value for key, value in {**lines[item], **keys}.items() if value is not None}
    corpus.path.write_text("\n".join(map(json.dumps, lines)) + "\n")
    return Manifest.open(corpus.path)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    corpus = write_pairs(tmp_path / "test.jsonl", 4)
    both = Subject("both", senses(), ("level",))
    with pytest.raises(UserError, match="'test-2' has no picture, and others have one .1 of 4 items"):
        item_vectors(both, changed(corpus, 2, image=None), "mean")
    without_audio = changed(write_pairs(tmp_path / "test.jsonl", 4), 1, audio=None, duration=None, sample_rate=None)
    with pytest.raises(UserError, match="'test-1' has no audio"):
        item_vectors(both, without_audio, "mean")
    assert item_vectors(Subject("images", senses("image"), ("level",)), without_audio, "mean")["image"]["level"].shape == (4, 4)
    with pytest.raises(UserError, match="'test-3' is too short for both to give a frame"):
        item_vectors(both, changed(write_pairs(tmp_path / "test.jsonl", 4), 3, duration=0.02), "mean")
    with pytest.raises(UserError, match="images takes pictures, and no item of"):
        item_vectors(Subject("images", senses("image"), ("level",)), write_pairs(tmp_path / "x" / "a.jsonl", 3, halves=("audio",)), "mean")
    with pytest.raises(UserError, match="'b-0' has no class .3 of 3"):
        item_labels(write_pairs(tmp_path / "b.jsonl", 3, labelled=False))


def test_what_diverged_is_reported(tmp_path: Path) -> None:
    broken = senses("image")
    with torch.no_grad():
        broken.sensing.fill_(torch.nan)
    with pytest.raises(UserError, match="layer level of broken is not finite on pictures"):
        item_vectors(Subject("broken", broken, ("level",)), write_pairs(tmp_path / "test.jsonl", 3), "mean")


def test_a_model_of_one_modality_does_not_take_the_other() -> None:
    with pytest.raises(UserError, match="eye takes images and no audio"):
        _ = Subject("eye", senses("image"), ("level",)).extractor
    with pytest.raises(UserError, match="ear takes audio and no images"):
        _ = Subject("ear", LogMel(), ("logmel",)).image_extractor
