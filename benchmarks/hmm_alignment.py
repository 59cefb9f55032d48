"""How long does forced alignment by hidden Markov models take? Seconds for an hour of speech, beside a plain loop in Python.

    python benchmarks/hmm_alignment.py [--minutes 60] [--seconds 10] [--gaussians 8] [--batch 32] [--threads 2]

Features of 39 numbers, 100 frames a second, and texts of ten phones of three states a second are drawn: what they are is nothing to the
time that it takes. Mixtures are scored, and utterances aligned, a batch at a time; the plain loop aligns the first utterance.
"""

import argparse
import time

import torch

from foresay.contracts import Encoded, Topology
from foresay.decoding.state_alignment import StateChain, align_states
from foresay.layers.gaussian_mixtures import GaussianMixtures

PHONES, STATES, SIZE, RATE = 40, 3, 39, 100
STAY = 0.7


def plain(scores: list[list[float]], chain: StateChain, topology: Topology) -> float:
    """Score the best path (Viterbi) frame by frame and position by position."""
    stay, go = topology.stay.tolist(), topology.go.tolist()
    before = [float("-inf")] * len(chain.steps)
    for time_, row in enumerate(scores):
        now = []
        for place, step in enumerate(chain.steps):
            ways = [before[place] + stay[step.state]] if time_ else []
            ways += [before[way] + go[chain.steps[way].state] for way in step.before if way >= 0]
            ways += [0.0] if time_ == 0 and -1 in step.before else []
            now.append(max(ways, default=float("-inf")) + row[step.state])
        before = now
    return max(before[end] + go[chain.steps[end].state] for end in chain.ends if end >= 0)


def main() -> None:
    """Align, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option, value in (("minutes", 60), ("seconds", 10), ("gaussians", 8), ("batch", 32), ("threads", 2)):
        parser.add_argument(f"--{option}", type=int, default=value)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    count = PHONES * STATES
    mixtures = GaussianMixtures(count, options.gaussians, SIZE)
    mixtures.log_weights.zero_()
    mixtures.means.normal_()
    topology = Topology(
        [range(first, first + STATES) for first in range(0, count, STATES)],
        torch.full((count,), STAY).log(),
        torch.full((count,), 1 - STAY).log(),
    )
    frames, utterances = RATE * options.seconds, 60 * options.minutes // options.seconds
    words = torch.randint(1, PHONES, (utterances, 2 * options.seconds, 5)).tolist()
    chains = [StateChain.of([[word] for word in one], topology) for one in words]
    features = torch.randn(options.batch, frames, SIZE)
    began, worked = time.perf_counter(), time.process_time()
    scores = list[float]()
    for first in range(0, utterances, options.batch):
        several = chains[first : first + options.batch]
        likelihoods = Encoded(mixtures(features[: len(several)]), torch.full((len(several),), frames))
        scores += align_states(likelihoods, several, topology).score.tolist()
    took, work = time.perf_counter() - began, time.process_time() - worked
    rows = mixtures(features[0]).tolist()
    began = time.process_time()
    slow = plain(rows, chains[0], topology)
    alone = time.process_time() - began
    faster, times = 60 * options.minutes / took, alone * utterances / work
    print(f"{options.minutes} minutes of speech: {took:.1f} s, {work:.1f} s of processors, {faster:,.0f} times as fast as speech")
    print(f"plain loop, without scoring frames: {alone:.2f} s of a processor for {options.seconds} s of speech, {times:.1f} times as long")
    print(f"best path of the first utterance: {scores[0]:.3f}, by the plain loop {slow:.3f}")


if __name__ == "__main__":
    main()
