"""Centers of k-means from elsewhere: those that scikit-learn fitted, whoever pickled them; and no code of a pickle ever runs."""

import io
import pickle
from pathlib import Path

import joblib
import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.cluster import KMeans, MiniBatchKMeans

from foresay.errors import UserError
from foresay.hub._pickle_data import PickledObject, read_pickle_data
from foresay.hub.kmeans import read_centers

RAN = []


def _frames(dtype: str = "float32") -> NDArray[np.floating]:
    return np.random.default_rng(0).normal(size=(60, 3)).astype(dtype)


@pytest.fixture(scope="module")
def fitted() -> MiniBatchKMeans:
    return MiniBatchKMeans(4, n_init=1, random_state=0).fit(_frames())


def _read(path: Path, content: bytes) -> NDArray[np.float32]:
    path.write_bytes(content)
    return read_centers(path).numpy()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_centers_are_those_that_scikit_learn_has(protocol: int, fitted: MiniBatchKMeans, tmp_path: Path) -> None:
    joblib.dump(fitted, tmp_path / "km.bin", protocol=protocol)
    for path in (tmp_path / "km.bin", tmp_path / "km.pkl"):
        (tmp_path / "km.pkl").write_bytes(pickle.dumps(fitted, protocol))
        found = read_centers(path)
        assert found.dtype.is_floating_point
        assert np.array_equal(found.numpy(), fitted.cluster_centers_)
        assert np.array_equal(((_frames()[:, None] - found.numpy()) ** 2).sum(-1).argmin(1), fitted.predict(_frames()))


def test_other_kinds_of_k_means_and_of_files(tmp_path: Path) -> None:
    full = KMeans(4, n_init=1, random_state=0).fit(_frames("float64"))  # in float64, and not in mini-batches
    centers = full.cluster_centers_.astype(np.float32)
    assert np.array_equal(_read(tmp_path / "full", pickle.dumps(full)), centers)
    for order in (np.ascontiguousarray, np.asfortranarray):
        array = order(centers)
        joblib.dump(array, tmp_path / "array")
        np.save(tmp_path / "array.npy", array)
        assert np.array_equal(read_centers(tmp_path / "array"), centers)
        assert np.array_equal(read_centers(tmp_path / "array.npy"), centers)
        assert np.array_equal(_read(tmp_path / "pickled", pickle.dumps(array.astype(">f8"))), centers)


def test_an_array_of_joblib_before_it_aligned_them(fitted: MiniBatchKMeans, tmp_path: Path) -> None:
    """Versions before 1.2, which published models were saved with, wrote arrays without a byte for alignment before them."""
    buffer = io.BytesIO()
    joblib.dump(fitted.cluster_centers_, buffer, protocol=2)
    said, aligned = b"X\x1b\x00\x00\x00numpy_array_alignment_bytes", buffer.getvalue()
    begin = aligned.index(said)
    build = aligned.index(b"ub", begin)  # SETITEMS, BUILD; the array follows
    padding = aligned[build + 2] + 1
    older = aligned[:begin] + aligned[build : build + 2] + aligned[build + 2 + padding :]
    assert np.array_equal(_read(tmp_path / "older", older), fitted.cluster_centers_)


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[int]]:
        return RAN.append, (1,)


def test_nothing_of_a_pickle_runs(tmp_path: Path) -> None:
    content = pickle.dumps({"a": [Harmful(), (1, 2.5, None, True)], "b": {3}})
    found = read_pickle_data(content)
    assert not RAN
    assert isinstance(found["a"][0], PickledObject)
    assert (found["a"][1], found["b"]) == ((1, 2.5, None, True), {3})
    with pytest.raises(UserError, match="holds a value of type dict, and no centers of k-means"):
        _read(tmp_path / "km.bin", content)
    with pytest.raises(UserError, match="holds an object of builtins.getattr without cluster_centers_"):
        _read(tmp_path / "km.bin", pickle.dumps(Harmful()))


@pytest.mark.parametrize(
    "array, message",
    [
        (np.zeros((2, 3), np.int64), "an array .2, 3. of int64"),
        (np.zeros(3), "an array .3,. of float64"),
        (np.zeros((0, 3)), "an array .0, 3. of float64"),
        (np.array([[1.0, np.nan]]), "not finite"),
        (np.array([["a"]]), "an array .1, 1. of <U1"),
    ],
)
def test_what_are_no_centers(array: NDArray[np.generic], message: str, tmp_path: Path) -> None:
    np.save(tmp_path / "km.npy", array)
    with pytest.raises(UserError, match=message):
        read_centers(tmp_path / "km.npy")


def test_compressed_missing_and_of_another_kind(fitted: MiniBatchKMeans, tmp_path: Path) -> None:
    joblib.dump(fitted, tmp_path / "km.bin", compress=3)
    with pytest.raises(UserError, match="compressed by zlib: save it anew"):
        read_centers(tmp_path / "km.bin")
    with pytest.raises(UserError, match="there is no file"):
        read_centers(tmp_path / "nothing")
    with pytest.raises(UserError, match="cannot be read .*is it a whole file"):
        _read(tmp_path / "km.bin", b"RIFF....WAVE")
    with pytest.raises(UserError, match="an array of object, and not of numbers"):
        _read(tmp_path / "km.bin", pickle.dumps(np.array([None, {}], object)))
    with pytest.raises(UserError, match="TypeError: it has an array of <"):
        _read(tmp_path / "km.bin", pickle.dumps(np.zeros((2, 3)), 4).replace(b"\x05dtype", b"\x05dtypo"))
    with pytest.raises(UserError, match="BINPERSID, which means something outside of the file"):
        _read(tmp_path / "km.bin", b"\x80\x04K\x01Q.")


def test_damage_is_a_message_whatever_was_damaged(fitted: MiniBatchKMeans, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    joblib.dump(fitted, buffer)
    whole, random = buffer.getvalue(), np.random.default_rng(0)
    for cut in range(0, len(whole) - 1, 7):
        with pytest.raises(UserError):
            _read(tmp_path / "km.bin", whole[:cut])
    for _ in range(300):
        damaged = bytearray(whole)
        damaged[random.integers(len(whole))] = random.integers(256)
        try:
            found = _read(tmp_path / "km.bin", bytes(damaged))
        except UserError:
            continue
        assert found.ndim == 2
