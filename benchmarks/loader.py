"""How fast is audio read, and does training wait for it?

    python benchmarks/loader.py [--minutes 30] [--steps 20] [--batch 8] [--workers 2]

Writes FLAC files of about LibriSpeech's compression, reads them once through, then reads an epoch of windows with one thread and with
several: audio seconds for each second of a core's work, and by the clock. Then trains the paper's ACPC (bf16) from them, and prints the
share of the time in which the step waited for the loader.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import torch
from timing import SAMPLE_RATE, WARM_UP, WINDOW, paper_model

from foresay.corpora.batches import BatchLoader
from foresay.corpora.manifest import Item, Manifest, write_manifest
from foresay.corpora.plans.windows import BatchPlan, DataSettings
from foresay.training.devices import keep_freed_memory
from foresay.training.optimizers import OptimizerSettings, build_optimizer

SECONDS, SPEAKERS, GROUP = 15.0, 4, 8


def write_corpus(folder: Path, minutes: float) -> Manifest:
    """Write recordings of 15 s, 16 bits: noise of a falling spectrum that swells and fades four times a second."""
    random = np.random.default_rng(0)
    samples = round(SECONDS * SAMPLE_RATE)
    swell = 0.5 - 0.5 * np.cos(2 * np.pi * 4 * np.arange(samples) / SAMPLE_RATE)
    slope = 1 / (1 + (np.fft.rfftfreq(samples, 1 / SAMPLE_RATE) / 1500) ** 2)

    def recordings() -> Iterator[Item]:
        for number in range(round(minutes * 60 / SECONDS)):
            noise = np.fft.irfft(np.fft.rfft(random.standard_normal(samples)) * slope)
            path = folder / f"{number:04}.flac"
            soundfile.write(path, 0.05 * swell * noise / noise.std(), SAMPLE_RATE, subtype="PCM_16")
            yield Item(path.stem, path, duration=SECONDS, sample_rate=SAMPLE_RATE, speaker=f"speaker {number % SPEAKERS}")

    write_manifest(folder / "manifest.jsonl", recordings())
    manifest = Manifest.open(folder / "manifest.jsonl")
    written = sum(path.stat().st_size for path in folder.glob("*.flac"))
    share = written / (minutes * 60 * SAMPLE_RATE * 2)
    print(f"{minutes:.0f} minutes of audio, {share:.0%} of their size as 16-bit samples (LibriSpeech: about 60 %)")
    return manifest


def read_epoch(manifest: Manifest, plan: BatchPlan, workers: int) -> tuple[float, float]:
    """Audio seconds for each second of processor time and of the clock, over an epoch."""
    with BatchLoader(manifest, plan, workers=workers) as loader:
        clock, work = time.perf_counter(), time.process_time()
        seconds = sum(len(update.planned.windows) for update in loader.one_epoch()) * WINDOW / SAMPLE_RATE
        return seconds / (time.process_time() - work), seconds / (time.perf_counter() - clock)


def waited(manifest: Manifest, plan: BatchPlan, workers: int, steps: int, device: str) -> tuple[float, float]:
    """Share of the training time in which the step waited for audio, and audio seconds trained on in a second."""
    model = paper_model(8, device)
    optimizer = build_optimizer(OptimizerSettings(), model.parameters())
    start = before = 0.0
    with BatchLoader(manifest, plan, workers=workers) as loader:
        for number, update in enumerate(loader.updates()):
            with torch.autocast(device, torch.bfloat16):
                loss = model(update.batches[0].to(device), number).total()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            loss.item()  # waits for the device
            if number + 1 == WARM_UP:
                start, before = time.perf_counter(), loader.wait
            if number + 1 == WARM_UP + steps:
                took = time.perf_counter() - start
                return (loader.wait - before) / took, steps * plan.settings.batch * WINDOW / SAMPLE_RATE / took
    raise AssertionError  # updates go on for ever


def main() -> None:
    """Print what was found."""
    parser = argparse.ArgumentParser(description="How fast audio is read, and whether training waits for it.")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        manifest = write_corpus(Path(folder), options.minutes)
        plan = BatchPlan(manifest, DataSettings(batch=options.batch), seed=0, group=GROUP)
        read_epoch(manifest, plan, 1)  # not counted: now the files are in memory
        for workers in sorted({1, options.workers}):
            by_work, by_clock = read_epoch(manifest, plan, workers)
            print(f"{workers} threads: {by_work:.0f} x real time for each core, {by_clock:.0f} x by the clock ({os.cpu_count()} cores)")
        share, rate = waited(manifest, plan, options.workers, options.steps, options.device)
        print(f"training, batch {options.batch}, {options.workers} threads: {share:.2%} of the time spent waiting, at {rate:.1f} audio s/s")


if __name__ == "__main__":
    main()
