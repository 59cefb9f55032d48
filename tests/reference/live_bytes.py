"""The most memory that tensors take at a time, counted storage by storage as operations make and drop them."""

import weakref
from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of all storages that are made within, and the most that live at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.live, self.most, self.known = 0, 0, set[int]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401
        before = {value.untyped_storage()._cdata for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)}
        found = func(*args, **(kwargs or {}))
        for value in tree_leaves(found):
            storage = value.untyped_storage() if isinstance(value, Tensor) else None
            if storage is not None and storage._cdata not in self.known | before:
                self.known.add(storage._cdata)
                self.live += storage.nbytes()
                weakref.finalize(storage, self._gone, storage._cdata, storage.nbytes())
        self.most = max(self.most, self.live)
        return found

    def _gone(self, storage: int, size: int) -> None:
        self.known.discard(storage)
        self.live -= size
