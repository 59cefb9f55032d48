"""wav2vec 2.0 BASE beside transformers' Wav2Vec2ForPreTraining: a training step, and the features of clips of many lengths.

    python benchmarks/transformer_family.py [step|features] [--precision fp32|bf16] [--rounds 5] [--clips 2] [--seconds 15] [--device cpu]

Both sides have the same network, precision, batch, masks of the same share and 100 negatives; a step is forward, backward and AdamW, with
dropout and without LayerDrop, which would drop other blocks on either side. Features: `--clips` clips of 2 to 20 s, hidden state of the
last block; transformers encodes them as one padded batch with an attention mask, as its documentation has it, or one by one.
"""

import argparse
import statistics
from collections.abc import Callable

import torch
from timing import take_turns, times_faster
from torch import Tensor
from transformers import Wav2Vec2Config, Wav2Vec2ForPreTraining
from transformers.models.wav2vec2.modeling_wav2vec2 import _compute_mask_indices, _sample_negative_indices

from foresay.contracts import Batch
from foresay.models.representation.wav2vec2 import Wav2Vec2, Wav2Vec2Settings

RATE = 16_000


def main() -> None:
    """Time the two in turns, and print their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("step", "features"), nargs="?", default="step")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clips", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    autocast = torch.autocast(options.device, torch.bfloat16, enabled=options.precision == "bf16")
    print(f"{options.what}, {options.precision}, {options.clips} clips, {torch.get_num_threads()} threads, {options.device}\n")
    if options.what == "step":
        contenders = steps(options.clips, round(options.seconds * RATE), options.device)
        audio_seconds = options.clips * options.seconds
    else:
        contenders, audio_seconds = features(options.clips, options.device)

    def with_precision(run: Callable[[], object]) -> Callable[[], object]:
        def inside() -> None:
            with autocast:
                run()

        return inside

    seconds = take_turns({name: with_precision(run) for name, run in contenders.items()}, options.rounds, options.device)
    print(f"{'':28}{'seconds':>9}{'audio s/s':>11}{'x transformers':>16}")
    for name, took in seconds.items():
        middle = statistics.median(took)
        print(f"{name:28}{middle:9.2f}{audio_seconds / middle:11.1f}{times_faster(seconds['transformers'], took):16.2f}")


def theirs(device: str) -> Wav2Vec2ForPreTraining:
    """Build transformers' BASE, without LayerDrop."""
    torch.manual_seed(0)
    config = Wav2Vec2Config(layerdrop=0.0, proj_codevector_dim=256, codevector_dim=256)
    return Wav2Vec2ForPreTraining(config).to(device)


def ours(device: str, group: int) -> Wav2Vec2:
    """Build our BASE, without LayerDrop."""
    torch.manual_seed(0)
    return Wav2Vec2(Wav2Vec2Settings(layer_drop=0.0, group=group)).to(device)


def steps(clips: int, samples: int, device: str) -> dict[str, Callable[[], object]]:
    """Make a training step of each."""
    waveforms = 0.1 * torch.randn(clips, samples, generator=torch.Generator().manual_seed(0)).to(device)
    batch = Batch(("noise",) * clips, waveforms, torch.full((clips,), samples), keys=torch.arange(clips)).to(device)
    mine, other = ours(device, clips).train(), theirs(device).train()
    optimizers = [torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True) for model in (mine, other)]

    def step() -> None:
        optimizers[0].zero_grad()
        mine(batch, 0).total().backward()
        optimizers[0].step()

    frames = int(mine.frame_count(torch.tensor([samples]), "L0")[0])

    def their_step() -> None:
        mask = _compute_mask_indices((clips, frames), 0.65, 10)
        negatives = torch.from_numpy(_sample_negative_indices((clips, frames), 100, mask)).to(device)
        optimizers[1].zero_grad()
        found = other(waveforms, mask_time_indices=torch.from_numpy(mask).to(device), sampled_negative_indices=negatives)
        (found.loss / int(mask.sum())).backward()
        optimizers[1].step()

    return {"Foresay": step, "transformers": their_step}


def features(clips: int, device: str) -> tuple[dict[str, Callable[[], object]], float]:
    """Make the features of clips of 2 to 20 s with each."""
    lengths = torch.linspace(2, 20, clips).mul(RATE).long()
    waveforms = torch.zeros(clips, int(lengths.max()))
    for row, length in zip(waveforms, lengths.tolist(), strict=True):
        row[:length] = 0.1 * torch.randn(length)
    mine, other = ours(device, 1).eval(), theirs(device).wav2vec2.eval()
    last = mine.layer_names[-1]
    on_device, mask = waveforms.to(device), (torch.arange(waveforms.shape[1]) < lengths[:, None]).long().to(device)

    def one_by_one() -> list[Tensor]:
        return [other(on_device[row : row + 1, :length]).last_hidden_state for row, length in enumerate(lengths.tolist())]

    def without_gradient(run: Callable[[], object]) -> Callable[[], object]:
        return torch.no_grad()(run)

    found = {
        "Foresay": lambda: mine.features(on_device, lengths.to(device), [last]),
        "transformers": lambda: other(on_device, attention_mask=mask).last_hidden_state,
        "transformers, one by one": one_by_one,
    }
    return {name: without_gradient(run) for name, run in found.items()}, float(lengths.sum()) / RATE


if __name__ == "__main__":
    main()
