"""Dynamic time warping of many pairs of sequences at once: how far apart two are if either may be stretched to fit the other.

    cost(i, j) = distance(i, j) + min(cost(i-1, j-1), cost(i, j-1), cost(i-1, j))        cost(0, 0) = distance(0, 0)

and what is returned is the cost of the end divided by the cells of the best path. Of equally good ways back from a cell the path takes the
diagonal one, else the left one (i, j-1), else the one up (i-1, j), as the code of Libri-Light does (eval/ABX_src/dtw.pyx).

All cells of an anti-diagonal depend on the two before it only, so they are computed together, for all pairs ("lanes") of a batch.
"""

import torch
from torch import Tensor


def dtw(distances: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Align L pairs: distances (N, M, L), of which the first `rows` (L,) by `columns` (L,) of each lane count -> (2, L) float32.

    The second row of the result is that of the transposed distances, which differs only where left and up are equally good.
    Costs are summed in float64, in which the sum of some float32 is exact: what ties on paper ties here.
    """
    height, width, lanes = distances.shape
    distances, device = distances.contiguous(), distances.device
    ends = _lanes_by_end(rows, columns)
    rows, columns = rows.to(device), columns.to(device)
    # Row i of a diagonal is kept at i + 1; at 0 stands what is outside.
    before, last, current = (torch.full((height + 1, lanes), torch.inf, dtype=torch.float64, device=device) for _ in range(3))
    straight, left_or_up, left = (torch.empty((max(ends) + 1, height, lanes), dtype=torch.bool, device=device) for _ in range(3))
    costs = torch.empty(lanes, dtype=torch.float64, device=device)
    before[0] = 0.0  # from where the first cell comes
    for diagonal in range(max(ends) + 1):
        first, stop = max(0, diagonal - width + 1), min(height, diagonal + 1)
        from_straight, from_up, from_left = before[first:stop], last[first:stop], last[first + 1 : stop + 1]
        torch.le(from_left, from_up, out=left_or_up[diagonal, first:stop])
        torch.lt(from_left, from_up, out=left[diagonal, first:stop])
        best = torch.minimum(from_left, from_up)
        torch.le(from_straight, best, out=straight[diagonal, first:stop])
        torch.minimum(best, from_straight, out=best)
        torch.add(best, _anti_diagonal(distances, diagonal, first, stop - first), out=current[first + 1 : stop + 1])
        current[first] = torch.inf  # outside, or no longer on a diagonal
        current[stop + 1 : stop + 2] = torch.inf
        if diagonal in ends:
            ending = ends[diagonal].to(device)
            costs[ending] = current[rows[ending], ending]
        before, last, current = last, current, before
    # In the transposed matrix left is up: of two equally good ways it goes the other.
    return torch.stack([costs / _cells_of_path(straight, prefers_left, rows, columns) for prefers_left in (left_or_up, left)]).float()


def _cells_of_path(straight: Tensor, left: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Walk back from the ends of all lanes: (diagonals, N, L) ways -> (L,)."""
    diagonals, height, lanes = straight.shape
    lane = torch.arange(lanes, device=straight.device)
    row, diagonal = rows - 1, rows + columns - 2
    cells = torch.ones_like(rows)
    for _ in range(diagonals - 1):
        here = (diagonal * height + row) * lanes + lane
        going = diagonal > 0
        goes_straight, goes_left = straight.take(here) & going, left.take(here)
        row = row - ((goes_straight | ~goes_left) & going).long()
        diagonal = diagonal - going.long() - goes_straight.long()
        cells += going
    return cells


def _anti_diagonal(distances: Tensor, diagonal: int, first: int, count: int) -> Tensor:
    """View the cells (first, diagonal - first), (first + 1, diagonal - first - 1), … as (count, L)."""
    _, width, lanes = distances.shape
    offset = distances.storage_offset() + (first * width + diagonal - first) * lanes
    return distances.as_strided((count, lanes), (max(1, width - 1) * lanes, 1), offset)


def _lanes_by_end(rows: Tensor, columns: Tensor) -> dict[int, Tensor]:
    """Return which lanes end on a diagonal."""
    ends, order = torch.sort(rows + columns - 2)
    diagonals, counts = torch.unique_consecutive(ends, return_counts=True)
    return dict(zip(diagonals.tolist(), order.split(counts.tolist()), strict=True))
