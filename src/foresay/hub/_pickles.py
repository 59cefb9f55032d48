"""Files of `torch.save` as plain data: tensors, numbers, texts, lists and tables, and never a call into anybody's code.

PyTorch's own restricted unpickler reads them. Settings that were pickled as objects (argparse, omegaconf) become tables; classes that are
not on the list below are refused by name.
"""

import itertools
import pickle
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from foresay.errors import UserError

MOST, DEEPEST = 100_000, 50
"""Values that settings may have, and how deep in each other."""


class _Inert:
    """Stands for an object of somebody's class: it keeps what the object was made of, and does nothing."""

    def __new__(cls, *args: object) -> Self:  # noqa: ARG004 - given by the pickle
        return super().__new__(cls)

    def __init__(self, *args: object) -> None:
        self.args = args

    def __setstate__(self, state: object) -> None:
        self.__dict__.update(state if isinstance(state, dict) else {"state": state})


INERT = (
    "argparse.Namespace",
    "omegaconf.dictconfig.DictConfig",
    "omegaconf.listconfig.ListConfig",
    "omegaconf.base.ContainerMetadata",
    "omegaconf.base.Metadata",
    *(f"omegaconf.nodes.{kind}Node" for kind in ("Any", "String", "Integer", "Float", "Boolean", "Enum")),
    *(f"typing.{kind}" for kind in ("Any", "Dict", "List", "Union", "Optional")),
    *(f"{module}.{kind}" for module in ("builtins", "__builtin__") for kind in ("bool", "dict", "float", "int", "list", "str")),
    "fairseq.data.dictionary.Dictionary",
    *(f"fairseq.{place}meters.{kind}Meter" for place in ("", "logging.") for kind in ("Average", "Stopwatch", "Time")),
)
"""Classes whose objects fairseq's and unilm's checkpoints hold beside the tensors."""


def read_pickle(path: Path) -> dict[str, Any]:
    """Read the table that a `.pt`, `.pth` or `.bin` file holds.

    Raises:
        UserError: the file is not one of `torch.save`, holds an object of an unknown class, or anything but a table.
    """
    _refuse_bomb(path)
    try:
        with torch.serialization.safe_globals([(_Inert, name) for name in INERT]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        unknown = re.search(r"GLOBAL (\S+)", str(error))
        if unknown is None:
            msg = f"{path} cannot be read as data: {str(error).splitlines()[0]}"
        else:
            msg = (
                f"{path} holds an object of the class {unknown[1]}, which would run code that came with the file; Foresay reads data only. "
                "If you trust the file, load it where it was made and save its state_dict() alone"
            )
        raise UserError(msg) from error
    except Exception as error:  # whatever the reader makes of a damaged file
        why = (str(error).splitlines() or [type(error).__name__])[0]
        msg = f"{path} cannot be read ({why}): is it a whole file of torch.save? A download may have been cut off"
        raise UserError(msg) from error
    if not isinstance(content, dict):
        msg = f"{path} holds a {type(content).__name__}, not a table of tensors: save state_dict(), not the model itself"
        raise UserError(msg)
    return content


def only_tensors(content: object, path: Path) -> dict[str, Tensor]:
    """Make sure that a table holds tensors by name, each within its own storage: a view may repeat a number a billion times.

    Raises:
        UserError: it holds something else.
    """
    if not isinstance(content, dict) or not all(isinstance(n, str) and isinstance(t, Tensor) for n, t in content.items()):
        msg = f"{path} holds no table of tensors by name: save state_dict(), not the model itself"
        raise UserError(msg)
    for name, tensor in content.items():
        if tensor.is_sparse or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            msg = f"{path}: the tensor {name} is {list(tensor.shape)}, and holds fewer numbers: was the file damaged?"
            raise UserError(msg)
    return content


def plain(value: object) -> Any:  # noqa: ANN401 - data of any shape
    """Turn settings that were objects into tables, lists and values.

    Raises:
        UserError: they are too many to be meant, or in each other.
    """
    return _plain(value, itertools.count(), 0)


def _plain(value: object, counter: Iterator[int], depth: int) -> Any:  # noqa: ANN401
    if next(counter) > MOST or depth > DEEPEST:
        msg = "the settings in the file are too many, or nested too deeply, to be meant: was it damaged?"
        raise UserError(msg)

    def inside(inner: object) -> Any:  # noqa: ANN401
        return _plain(inner, counter, depth + 1)

    if isinstance(value, _Inert):
        state = vars(value)
        return inside(state.get("_content", state.get("_val", {k: v for k, v in state.items() if k != "args"})))
    if isinstance(value, dict):
        return {str(inside(key)): inside(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [inside(inner) for inner in value]
    return value


def _refuse_bomb(path: Path) -> None:
    """Refuse an archive that unpacks to far more than it is: torch.save compresses nothing."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except (OSError, ValueError, RuntimeError, zipfile.BadZipFile):
        return  # of the old format, or reported by torch
    if unpacked > 2 * path.stat().st_size:
        msg = f"{path} would unpack to {unpacked:,} bytes, from {path.stat().st_size:,}: that is no file of torch.save"
        raise UserError(msg)
