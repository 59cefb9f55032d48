"""How long does the transducer's loss take, with its gradient? Ours beside two plain loops over frames and symbols.

    python benchmarks/transducer_loss.py [--utterances 8] [--frames 100] [--symbols 30] [--vocabulary 32] [--rounds 5] [--threads 1]

The loops compute node after node, over a batch of utterances at once or one utterance after the other, and PyTorch forms their gradient.
"""

import argparse
import statistics
import sys
from pathlib import Path

import torch
from timing import take_turns, times_faster

from foresay.objectives.transducer import transducer_loss

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from reference.transducer_loops import double_loop


def main() -> None:
    """Print milliseconds of loss and gradient, by median over the rounds, and the largest difference of the losses."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("utterances", 8), ("frames", 100), ("symbols", 30), ("vocabulary", 32), ("rounds", 5), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
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


if __name__ == "__main__":
    main()
