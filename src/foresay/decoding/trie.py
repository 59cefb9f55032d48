"""A trie as arrays: sequences of symbols, a node for each of their beginnings, built level by level and not word by word."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


class Trie:
    """N nodes in order of their depth; node 0 is the root.

    Args:
        sequences: P sequences of one or more symbols.
        symbols: V; all symbols are below.
    """

    def __init__(self, sequences: Sequence[Sequence[int]], symbols: int) -> None:
        lengths = np.array([len(sequence) for sequence in sequences], dtype=np.int64)
        rows = np.full((len(sequences), int(lengths.max(initial=0))), -1, dtype=np.int64)
        rows[np.arange(rows.shape[1]) < lengths[:, None]] = np.fromiter((s for sequence in sequences for s in sequence), dtype=np.int64)
        nodes = np.zeros(len(sequences), dtype=np.int64)
        parents, labels, depths, size = [np.array([-1])], [np.array([-1])], [np.array([0])], 1
        for depth in range(rows.shape[1]):
            longer = lengths > depth
            edges, places = np.unique(nodes[longer] * symbols + rows[longer, depth], return_inverse=True)
            nodes[longer] = size + places.reshape(-1)
            parents.append(edges // symbols)
            labels.append(edges % symbols)
            depths.append(np.full(len(edges), depth + 1))
            size += len(edges)
        self.size = size
        """N."""
        self.parent = torch.from_numpy(np.concatenate(parents))
        """(N,) int64; -1 for the root."""
        self.symbol = torch.from_numpy(np.concatenate(labels))
        """(N,) int64: by which a node is reached from its parent; -1 for the root."""
        self.depth = torch.from_numpy(np.concatenate(depths))
        """(N,) int64."""
        self.ends = torch.from_numpy(nodes)
        """(P,) int64: the node of each sequence."""
        self.children = torch.zeros(size, symbols, dtype=torch.int32)
        """(N, V) int32: the node that a symbol leads to; 0 where there is none."""
        self.children[self.parent[1:], self.symbol[1:]] = torch.arange(1, size, dtype=torch.int32)

    def opened(self, boundary: int) -> Tensor:
        """Let each sequence of its symbols between boundaries be one, whether it is known or not: (N + 2, V), as `children`.

        Node N stands for all that begins as no sequence of the trie does, and node N + 1 is behind the boundary of what is unknown.
        """
        loop, end = self.size, self.size + 1
        children = torch.cat([self.children, self.children.new_zeros(2, self.children.shape[1])])
        inner = torch.cat([(self.children > 0).any(1), torch.tensor([True, False])])
        symbols = self.symbol[1:].unique()
        onward = torch.where(symbols == boundary, end, loop).int()
        table = children[inner][:, symbols]
        children[inner.nonzero(), symbols] = torch.where(table > 0, table, onward)
        children[0, boundary] = 0  # a word has one symbol at least
        return children

    def highest(self, scores: Tensor) -> Tensor:
        """Smear scores (P,) of the sequences towards the root: each node (N,) gets the highest of all that go through it or end there."""
        found = torch.full((self.size,), -torch.inf, dtype=scores.dtype).scatter_reduce_(0, self.ends, scores, "amax")
        for depth in range(int(self.depth[-1]), 0, -1):
            begin, end = torch.searchsorted(self.depth, torch.tensor([depth, depth + 1])).tolist()
            found.scatter_reduce_(0, self.parent[begin:end], found[begin:end].clone(), "amax")
        return found
