"""Pitch by YIN: how often is it that of another tracker, and how many times faster than real time?

    python benchmarks/pitch.py REFERENCE MANIFEST

Each recording of the manifest whose track by another tracker lies in REFERENCE, a file of arrays by the recordings' ids (`numpy.savez`;
Hz every 10 ms, 0 where unvoiced, the first at 5 ms), is tracked and compared. Praat writes such tracks, for one (`Sound: To Pitch (ac)`,
time step 0.01, floor 60, ceiling 500), by way of parselmouth.
"""

import sys
from time import perf_counter, process_time

import numpy as np
import torch

from foresay.baselines.yin import PitchTrack
from foresay.corpora.manifest import Manifest
from foresay.statistics.pitch_errors import PitchErrors, count_pitch_errors


def main(reference: str, corpus: str) -> None:
    """Print the errors of all recordings together, and the speed."""
    tracks, manifest, tracker = np.load(reference), Manifest.open(corpus), PitchTrack()
    found, seconds, wall, busy = [], 0.0, 0.0, 0.0
    for place, item in enumerate(manifest):
        if item.id not in tracks:
            continue
        waveform = torch.from_numpy(manifest.read(place, tracker.sample_rate))[None]
        started, worked = perf_counter(), process_time()
        hertz = tracker.features(waveform, torch.tensor([waveform.shape[1]])).values["f0"][0, :, 0].numpy()
        wall, busy, seconds = wall + perf_counter() - started, busy + process_time() - worked, seconds + item.duration
        count = min(len(hertz), len(tracks[item.id]))
        found.append(count_pitch_errors(tracks[item.id][:count], hertz[:count]))
    total = PitchErrors(*(sum(column) for column in zip(*found, strict=True)))
    print(f"{len(found)} recordings, {seconds:.0f} s: {seconds / wall:.0f} times real time, {seconds / busy:.0f} of one core's")
    print(f"VDE {total.vde:.2%}, GPE {total.gpe:.2%}, FFE {total.ffe:.2%}, {total.rmse:.0f} cents")


if __name__ == "__main__":
    main(*sys.argv[1:])
