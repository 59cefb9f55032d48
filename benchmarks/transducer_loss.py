"""How long does the transducer's loss take, with its gradient? Ours beside two plain loops; and the pruned beside the whole lattice.

    python benchmarks/transducer_loss.py [--utterances 8] [--frames 100] [--symbols 30] [--vocabulary 32] [--rounds 5] [--threads 1]
    python benchmarks/transducer_loss.py --pruned 5 --utterances 1 --frames 300 --symbols 60 --vocabulary 500

The loops compute node after node, over a batch of utterances at once or one utterance after the other, and PyTorch forms their gradient.
`--pruned R`: with the joint network, time and the most memory that tensors take at a time, for the whole lattice and R positions a frame.
"""

import argparse
import statistics
import sys
from pathlib import Path

import torch
from timing import take_turns, times_faster

from foresay.layers.joint_network import JointNetwork, StatelessPrediction
from foresay.objectives.pruned_transducer import PrunedLattice
from foresay.objectives.transducer import TransducerObjective, WholeLattice, transducer_loss

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from reference.live_bytes import LiveBytes
from reference.transducer_loops import double_loop


def main() -> None:
    """Print milliseconds of loss and gradient, by median over the rounds, and the difference of the losses, or the memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("utterances", 8), ("frames", 100), ("symbols", 30), ("vocabulary", 32), ("rounds", 5), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--pruned", type=int, default=0)
    parser.add_argument("--joint", type=int, default=128)
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    if a.pruned:
        compare_pruned(a)
    else:
        compare_loops(a)


def compare_loops(a: argparse.Namespace) -> None:
    """Time the loss of the whole lattice beside plain loops."""
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(a.utterances, a.frames, a.symbols + 1, a.vocabulary, generator=random).requires_grad_()
    labels = torch.randint(1, a.vocabulary, (a.utterances, a.symbols), generator=random)
    frames, counts = torch.full((a.utterances,), a.frames), torch.full((a.utterances,), a.symbols)

    def ours() -> torch.Tensor:
        return transducer_loss(logits, labels, frames, counts).sum()

    def loops() -> torch.Tensor:
        scores = logits.log_softmax(-1)
        return torch.stack([double_loop(one, text) for one, text in zip(scores, labels.tolist(), strict=True)]).sum()

    def normalized() -> torch.Tensor:
        return logits.log_softmax(-1).sum()

    contenders = {"ours": ours, "two loops": loops, "log-softmax alone": normalized}
    seconds = take_turns({name: lambda run=run: run().backward() for name, run in contenders.items()}, a.rounds, "cpu")
    for name, times in seconds.items():
        print(f"{name:20}{1000 * statistics.median(times):10.1f} ms{times_faster(times, seconds['ours']):10.1f} x")
    print(f"difference of the losses: {abs(ours().item() - loops().item()):.1e} of {ours().item():.1f}")


def compare_pruned(a: argparse.Namespace) -> None:
    """Time both objectives with their joint network in turns, then count the memory of each."""
    torch.manual_seed(0)
    joint = JointNetwork(StatelessPrediction(a.vocabulary, a.joint, 2), a.joint, a.vocabulary, a.joint)
    frames, predicted = torch.randn(a.utterances, a.frames, a.joint), torch.randn(a.utterances, a.symbols + 1, a.joint)
    labels = torch.randint(1, a.vocabulary, (a.utterances, a.symbols))
    lengths, counts = torch.full((a.utterances,), a.frames), torch.full((a.utterances,), a.symbols)
    given = frames.requires_grad_(), predicted.requires_grad_()
    objectives = {"whole": WholeLattice(a.joint, a.vocabulary), "pruned": PrunedLattice(a.joint, a.vocabulary, positions=a.pruned)}

    def step(objective: TransducerObjective) -> None:
        torch.stack([*objective(joint, *given, labels, lengths, counts, 0.0).values()]).sum().backward()

    seconds = take_turns({name: lambda one=one: step(one) for name, one in objectives.items()}, a.rounds, "cpu")
    peaks = {}
    for name, objective in objectives.items():
        with LiveBytes() as counted:
            step(objective)
        peaks[name] = counted.most
    for name, times in seconds.items():
        print(
            f"{name:8}{1000 * statistics.median(times):10.1f} ms{times_faster(seconds['whole'], times):8.1f} x faster"
            f"{peaks[name] / 1e6:10.1f} MB{peaks['whole'] / peaks[name]:8.1f} x less"
        )


if __name__ == "__main__":
    main()
