"""CTC fine-tuning of a BASE encoder beside transformers' Wav2Vec2ForCTC: forward and backward of a padded batch of whole utterances.

    python benchmarks/finetuning_step.py [--rounds 5] [--seconds 9 7 6 4] [--threads 2] [--profile]

Both sides have the same network (random weights), fp32, frozen convolutions, masks of the same share of frames and channels, the same
dropouts, no LayerDrop (it would leave out other blocks on either side) and the same transcripts. They take turns; beside the seconds of the
clock stand those of the processor, which say more where other programs run.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable

import torch
from timing import WARM_UP, times_faster
from torch.profiler import ProfilerActivity, profile
from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

from foresay.contracts import Batch
from foresay.models.recognition.ctc import CTC, CTCSettings
from foresay.models.representation.wav2vec2 import Wav2Vec2, Wav2Vec2Settings
from foresay.training.devices import keep_freed_memory

RATE, LETTERS_A_SECOND = 16_000, 14
SYMBOLS = ("<blank>", "|", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ'")
DROPOUT = 0.1
"""On inner activations; all others are 0 (the released configuration)."""
MASKS = 0.065, 0.004
"""Table 6, 10 hours: of a frame, of a channel."""


def main() -> None:
    """Time the two in turns, and print their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, nargs="+", default=[9.0, 7.0, 6.0, 4.0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--profile", action="store_true", help="print what takes the time of each instead")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()  # as in every training of ours; it serves both
    batch = batch_of(options.seconds)
    contenders = {"foresay": ours(batch), "transformers": theirs(batch)}
    if options.profile:
        for name, run in contenders.items():
            run()
            with profile(activities=[ProfilerActivity.CPU]) as found:
                run()
            print(name, found.key_averages().table(sort_by="self_cpu_time_total", row_limit=16), sep="\n")
        return
    print(f"{options.seconds} s, {options.threads} threads, load {os.getloadavg()[0]:.1f}")
    clock, processor = turns(contenders, options.rounds)
    print(f"{'':16}{'seconds':>9}{'processor':>11}")
    for name in contenders:
        print(f"{name:16}{statistics.median(clock[name]):9.2f}{statistics.median(processor[name]):11.2f}")
    ratios = [times_faster(took["transformers"], took["foresay"]) for took in (clock, processor)]
    print(f"times faster    {ratios[0]:9.2f}{ratios[1]:11.2f}     load {os.getloadavg()[0]:.1f}")


def turns(contenders: dict[str, Callable[[], object]], rounds: int) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Run each once a round, in turns: seconds of the clock, and of the processor."""
    clock: dict[str, list[float]] = {name: [] for name in contenders}
    processor: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(WARM_UP + rounds):
        for name, run in contenders.items():
            begun = time.perf_counter(), time.process_time()
            run()
            took = time.perf_counter() - begun[0], time.process_time() - begun[1]
            if number >= WARM_UP:
                clock[name].append(took[0])
                processor[name].append(took[1])
    return clock, processor


def batch_of(seconds: list[float]) -> Batch:
    """Make utterances of noise, padded, with as many letters as people say."""
    random = torch.Generator().manual_seed(0)
    lengths = torch.tensor([round(one * RATE) for one in seconds])
    waveforms = 0.1 * torch.randn(len(seconds), int(lengths.max()), generator=random)
    waveforms *= torch.arange(waveforms.shape[1]) < lengths[:, None]
    numbers = [torch.randint(2, len(SYMBOLS), (round(one * LETTERS_A_SECOND),), generator=random).tolist() for one in seconds]
    texts = tuple("".join(SYMBOLS[number] for number in row) for row in numbers)
    return Batch(tuple(map(str, range(len(seconds)))), waveforms, lengths, torch.arange(len(seconds)), text=texts)


def ours(batch: Batch) -> Callable[[], object]:
    """Make a step of ours."""
    torch.manual_seed(0)
    encoder = Wav2Vec2(Wav2Vec2Settings()).eval()
    masks = {"mask_probability": MASKS[0], "channel_probability": MASKS[1]}
    settings = CTCSettings(SYMBOLS, normalization="librispeech", layer_drop=0.0, activation_dropout=DROPOUT, **masks)
    model = CTC(settings, encoder).train()

    def step() -> None:
        model.zero_grad()
        model(batch, settings.freeze_updates).total().backward()

    return step


def theirs(batch: Batch) -> Callable[[], object]:
    """Make a step of theirs."""
    torch.manual_seed(0)
    still = dict.fromkeys(("hidden_dropout", "attention_dropout", "feat_proj_dropout", "final_dropout", "layerdrop"), 0.0)
    shares = {"mask_time_prob": 10 * MASKS[0], "mask_feature_prob": 64 * MASKS[1], "mask_feature_length": 64}
    config = Wav2Vec2Config(
        vocab_size=len(SYMBOLS), activation_dropout=DROPOUT, ctc_zero_infinity=True, attn_implementation="sdpa", **still, **shares
    )
    model = Wav2Vec2ForCTC(config).train()
    model.freeze_feature_encoder()
    waveforms, lengths = batch.audio
    attention = (torch.arange(waveforms.shape[1]) < lengths[:, None]).long()
    rows = [torch.tensor([SYMBOLS.index(letter) for letter in text]) for text in batch.text or ()]
    labels = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-100)

    def step() -> None:
        model.zero_grad()
        model(waveforms, attention_mask=attention, labels=labels).loss.backward()

    return step


if __name__ == "__main__":
    main()
