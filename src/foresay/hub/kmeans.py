"""Centers of k-means that were fitted elsewhere: fairseq's and textless-lib's `km.bin`, any k-means of scikit-learn, or an array (`.npy`).

Theirs are pickles of scikit-learn's objects, which run code when they are loaded and need the version that they were saved with. Here the
centers are taken out of them as data (`_pickle_data.py`); nothing is unpickled, and scikit-learn is not needed.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foresay.errors import UserError
from foresay.hub._pickle_data import PickledObject, read_pickle_data

ARRAY = b"\x93NUMPY"
PACKED = {b"\x78": "zlib", b"\x1f\x8b": "gzip", b"BZ": "bz2", b"\xfd7z": "xz", b"\x04\x22": "lz4"}
"""How files begin that joblib compressed."""
CENTERS = "cluster_centers_"


def read_centers(path: Path) -> Tensor:
    """Read centers: (K, D) float32.

    Raises:
        UserError: there are none in the file, or they are not finite.
    """
    if not path.is_file():
        msg = f"there is no file {path} to read centers of k-means from: a .npy of (K, D), or what joblib or pickle saved of scikit-learn's"
        raise UserError(msg)
    try:
        found = _read(path)
    except (EOFError, OSError, ValueError) as error:
        msg = f"{path} cannot be read ({error}): is it a whole file? It must be a .npy of (K, D), or a k-means of scikit-learn"
        raise UserError(msg) from error
    if not isinstance(found, np.ndarray) or found.ndim != 2 or found.dtype.kind != "f" or not found.size:  # noqa: PLR2004 - (K, D)
        what = f"an array {found.shape} of {found.dtype}" if isinstance(found, np.ndarray) else _said(found)
        msg = f"{path} holds {what}, and no centers of k-means, which are an array (K, D) of floating-point numbers"
        raise UserError(msg)
    centers = torch.from_numpy(found.astype(np.float32))
    if not centers.isfinite().all():
        msg = f"{path} holds centers that are not finite: the features that they were fitted on were not, or the file is damaged"
        raise UserError(msg)
    return centers


def _read(path: Path) -> NDArray[Any] | object:
    """Return the array that a file holds, or what else it holds."""
    with path.open("rb") as file:
        begin = file.read(len(ARRAY))
        if begin == ARRAY:
            return np.array(np.load(path, mmap_mode="r", allow_pickle=False))
        for letters, packer in PACKED.items():
            if begin.startswith(letters):
                msg = f"it is compressed by {packer}: save it anew with joblib.dump(…, compress=0), or its {CENTERS} with numpy.save"
                raise ValueError(msg)
    found = read_pickle_data(path.read_bytes())
    if isinstance(found, PickledObject) and isinstance(found.state, dict):
        return found.state.get(CENTERS, found)
    return found


def _said(found: object) -> str:
    return f"an object of {found.name} without {CENTERS}" if isinstance(found, PickledObject) else f"a value of type {type(found).__name__}"
