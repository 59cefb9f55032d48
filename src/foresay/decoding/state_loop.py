"""The best path of an utterance through hidden Markov models of any symbols, in any order, without a text or a language model (Viterbi).

    .---- ah ----.
    +---- k  ----+     in each frame a state is stayed in, or left for the next one of its symbol, or, if it is the last, for the first
    +---- ae ----+     one of any symbol, at no charge; it begins and ends with whole symbols
    '---- …  ----'

It labels the frames of speech that nobody transcribed, and no text is likelier: what it scores is the best that any text could.
"""

import torch
from torch import Tensor

from foresay.contracts.recognition import Encoded
from foresay.contracts.states import Topology
from foresay.decoding.state_alignment import IMPOSSIBLE, StatePath
from foresay.errors import UserError

STAY, NEXT, ENTER = range(3)


@torch.no_grad()
def free_path(likelihoods: Encoded, topology: Topology) -> StatePath:
    """Find the best path of each utterance through the states of whatever symbols.

    The positions of the path are places among the states of all symbols, one symbol after the other (`states_of`).

    Args:
        likelihoods: (B, T, S) log p of a frame in each state, scaled as they are to count.
        topology: how long one stays in the states.

    Raises:
        UserError: an utterance has fewer frames than any symbol has states.
    """
    scores, lengths = likelihoods.frames, likelihoods.lengths.to(likelihoods.frames.device)
    states = states_of(topology).to(scores.device)
    stay, go = topology.stay.to(scores.device)[states], topology.go.to(scores.device)[states]
    sizes = torch.tensor([len(own) for own in topology.states])
    last = (sizes.cumsum(0) - 1).to(scores.device)  # place of the last state of each symbol
    first = last - sizes.to(scores.device) + 1
    begins = torch.full((len(states),), IMPOSSIBLE, device=scores.device).index_fill(0, first, 0.0)
    frames = scores[..., states]  # (B, T, P)
    score, ways, left = begins + frames[:, 0], [], []
    for t in range(1, frames.shape[1]):
        gone = score + go
        best, symbol = gone[:, last].max(1, keepdim=True)
        onwards = torch.cat([best, gone[:, :-1]], 1).index_fill(1, first, IMPOSSIBLE)
        new, way = torch.stack([score + stay, onwards, best + begins]).max(0)
        active = lengths[:, None] > t
        score = torch.where(active, new + frames[:, t], score)
        ways.append(torch.where(active, way, STAY).to(torch.int8))
        left.append(last[symbol])
    total, chosen = (score + go)[:, last].max(1)
    if not (possible := total > IMPOSSIBLE / 2).all():
        short = int(possible.logical_not().nonzero()[0])
        msg = f"utterance {short} has {int(lengths[short])} frames, fewer than any symbol has states: leave it out"
        raise UserError(msg)
    positions = [last[chosen][:, None]]
    for way, entered in zip(reversed(ways), reversed(left), strict=True):
        came = way.gather(1, positions[-1])
        positions.append(torch.where(came == ENTER, entered, positions[-1] - (came == NEXT).long()))
    path = torch.cat(positions[::-1], 1)
    real = torch.arange(path.shape[1], device=path.device) < lengths[:, None]
    return StatePath(total, path.masked_fill(~real, -1))


def states_of(topology: Topology) -> Tensor:
    """Put the states of all symbols into one row: (P,) int64."""
    return torch.tensor([state for own in topology.states for state in own])
