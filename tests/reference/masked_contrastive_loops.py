"""The loss of wav2vec 2.0 frame by frame, as its equations are written."""

import torch
import torch.nn.functional as F
from torch import Tensor


def loop_loss(contexts: list[Tensor], targets: list[Tensor], distractors: list[list[Tensor]], temperature: float) -> tuple[Tensor, float]:
    """Sum of equation 3 over the frames of all utterances, and the share of frames whose target is distinguished from all distractors.

    `contexts`, `targets`: (P, D) of each utterance; `distractors`: for each utterance and frame, its (n, D) negatives.
    """
    losses, correct = [], []
    for utterance, frames in enumerate(contexts):
        for frame, context in enumerate(frames):
            right = F.cosine_similarity(context, targets[utterance][frame], dim=0) / temperature
            wrong = [F.cosine_similarity(context, other, dim=0) / temperature for other in distractors[utterance][frame]]
            losses.append(-torch.log(right.exp() / sum([right.exp(), *(w.exp() for w in wrong)])))
            correct.append(bool(wrong) and all(right > w for w in wrong))
    return torch.stack(losses).sum(), sum(correct) / len(correct)


def loop_diversity(probabilities: Tensor) -> float:
    """Share of the codes that are not used, of the mean of (n, G, V) probabilities."""
    mean = probabilities.mean(0)
    books, codes = mean.shape
    used = sum(float(torch.exp(-sum(p * torch.log(p) for p in book if p > 0))) for book in mean)
    return (books * codes - used) / (books * codes)
