"""Files of `torch.save` as plain data: tensors, numbers, texts, lists and tables, and never a call into anybody's code.

PyTorch's own restricted unpickler reads them. Settings that were pickled as objects (argparse, omegaconf) become tables; classes that are
not on the list below are refused by name.
"""

import pickle
import re
from pathlib import Path
from typing import Any, Self

import torch

from foresay.errors import UserError


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
    except (EOFError, KeyError, OSError, RuntimeError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        msg = f"{path} cannot be read ({why}): is it a whole file of torch.save? A download may have been cut off"
        raise UserError(msg) from error
    if not isinstance(content, dict):
        msg = f"{path} holds a {type(content).__name__}, not a table of tensors: save state_dict(), not the model itself"
        raise UserError(msg)
    return content


def plain(value: object) -> Any:  # noqa: ANN401 - data of any shape
    """Turn settings that were objects into tables, lists and values."""
    if isinstance(value, _Inert):
        state = vars(value)
        return plain(state.get("_content", state.get("_val", {k: v for k, v in state.items() if k != "args"})))
    if isinstance(value, dict):
        return {str(plain(key)): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value
