"""How fast is speech synthesized from frames, and learnt? The iSTFT vocoder beside HiFi-GAN, ours and that of transformers.

    python benchmarks/vocoder.py                    sizes of the papers, two threads, median of 5 rounds: about two minutes
    python benchmarks/vocoder.py --scale tiny       sizes of unit-vocoder-tiny, and a HiFi-GAN of as many channels
    python benchmarks/vocoder.py --train            forward and backward, of a mel loss
    python benchmarks/vocoder.py --device cuda

All read the same number of features, 100 frames a second, and make 16,000 samples a second of them. That of transformers (SpeechT5HifiGan)
has the rates, kernels and channels of ours. They take turns, so that what slows the machine down slows all. Real-time factor: seconds of
work for a second of speech; below 1 is faster than speech.
"""

import argparse
import statistics
from functools import partial

import torch
from timing import SAMPLE_RATE, parameters, take_turns, times_faster
from torch import Tensor, nn

from foresay.decoders.hifigan import HiFiGAN
from foresay.decoders.istft_vocoder import ISTFTVocoder
from foresay.extras import optional
from foresay.objectives.multi_scale_mel import MultiScaleMel

HOP, PITCH = 160, 120.0
RATES, KERNELS = (5, 4, 4, 2), (11, 8, 8, 4)
SCALES = {
    "paper": ({}, 512, 384),
    "tiny": ({"size": 192, "blocks": 4, "inner": 576, "coefficients": 96, "fft": 640}, 192, 192),
}
"""Sizes of the iSTFT vocoder, channels of HiFi-GAN, features of a frame."""


class Theirs(nn.Module):
    """SpeechT5HifiGan, which wants frames that it normalizes."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        with optional("transformers", "hf", "the HiFi-GAN of transformers"):
            from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig  # noqa: PLC0415 - an extra
        self.network = SpeechT5HifiGan(
            SpeechT5HifiGanConfig(
                model_in_dim=inputs,
                upsample_initial_channel=channels,
                upsample_rates=list(RATES),
                upsample_kernel_sizes=list(KERNELS),
                normalize_before=False,
            )
        )

    def forward(self, frames: Tensor, *_: Tensor) -> Tensor:
        """(B, T, D) -> (B, S)."""
        waveforms: Tensor = self.network(frames)
        return waveforms


def synthesize(network: nn.Module, given: tuple[Tensor, ...]) -> None:
    """Synthesize."""
    with torch.no_grad():
        network(*given)


def learn(network: nn.Module, given: tuple[Tensor, ...], mel: MultiScaleMel) -> None:
    """Synthesize, and compute the gradient of the distance from noise."""
    recorded, lengths = given[3], torch.full((len(given[0]),), given[3].shape[1])
    network.zero_grad(set_to_none=True)
    torch.stack([term.sum / term.count for term in mel(network(*given), recorded, lengths).values()]).sum().backward()


def main() -> None:
    """Time all."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--scale", choices=SCALES, default="paper")
    options.add_argument("--seconds", type=float, default=4.0, help="of speech in each of the utterances")
    options.add_argument("--batch", type=int, default=1)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--device", default="cpu")
    options.add_argument("--train", action="store_true")
    asked = options.parse_args()
    torch.set_num_threads(asked.threads)
    torch.manual_seed(0)
    sizes, channels, inputs = SCALES[asked.scale]
    count = int(asked.seconds * SAMPLE_RATE / HOP)
    networks = {
        "istft-vocoder": ISTFTVocoder(inputs, SAMPLE_RATE, **sizes),
        "hifigan": HiFiGAN(inputs, SAMPLE_RATE, channels=channels, rates=RATES, kernels=KERNELS),
        "hifigan of transformers": Theirs(inputs, channels),
    }
    given = (
        torch.randn(asked.batch, count, inputs),
        torch.ones(asked.batch, count, 1),
        torch.full((asked.batch, count * HOP), PITCH),
        torch.randn(asked.batch, count * HOP),
    )
    given = tuple(one.to(asked.device) for one in given)
    mel = MultiScaleMel(SAMPLE_RATE, (256, 512, 1024, 2048), (20, 40, 80, 160), 45.0).to(asked.device)
    runners = {
        name: partial(learn, network.to(asked.device), given, mel) if asked.train else partial(synthesize, network.to(asked.device), given)
        for name, network in networks.items()
    }
    seconds = take_turns(runners, asked.rounds, asked.device)
    speech = asked.batch * asked.seconds
    for name, took in seconds.items():
        factor, faster = statistics.median(took) / speech, times_faster(seconds["hifigan"], took)
        print(f"{name:24} {parameters(networks[name]) / 1e6:6.2f} M   real-time factor {factor:7.4f}   {faster:6.1f} x hifigan")


if __name__ == "__main__":
    main()
