"""Does something trivial say the labels of the miniature of SUPERB, and do simple features say more than that?

    foresay corpus make superb corpora/superb
    python benchmarks/superb_miniature.py corpora/superb

For each task with classes: the accuracy on test of a logistic regression that has learned from train, from the length and the level of a
clip alone, from its words alone, and from the means and deviations of its MFCC; in percent, beside that of chance.
"""

import sys
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from foresay.baselines.mfcc import MFCC
from foresay.corpora.manifest import Manifest

TASKS = {"ks": "label", "ic": "label", "er": "label", "sid": "speaker"}
ITERATIONS = 2000
Rows: TypeAlias = npt.NDArray[np.float64]


def main() -> None:
    """Print a row for each task."""
    folder = Path(sys.argv[1])
    print(f"{'task':6}{'classes':>9}{'chance':>9}{'length, level':>15}{'words':>9}{'MFCC':>9}")
    for task, key in TASKS.items():
        train, test = (Manifest.open(folder / task / f"{split}.jsonl") for split in ("train", "test"))
        learned, wanted = ([getattr(item, key) for item in manifest] for manifest in (train, test))
        scaled = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=ITERATIONS))
        trivial = scaled.fit(lengths_and_levels(train), learned).score(lengths_and_levels(test), wanted)
        cepstral = scaled.fit(cepstra(train), learned).score(cepstra(test), wanted)
        words = make_pipeline(CountVectorizer(), LogisticRegression(max_iter=ITERATIONS))
        written = words.fit([item.text or "" for item in train], learned).score([item.text or "" for item in test], wanted)
        classes = len(set(learned))
        print(f"{task:6}{classes:9}{100 / classes:9.1f}{100 * trivial:15.1f}{100 * written:9.1f}{100 * cepstral:9.1f}")


def lengths_and_levels(manifest: Manifest) -> Rows:
    """Measure each clip: (clips, 2) seconds and dB."""
    levels = [10 * np.log10(np.square(manifest.read(place, MFCC.sample_rate)).mean()) for place in range(len(manifest))]
    return np.stack([manifest.durations, np.array(levels)], axis=1)


def cepstra(manifest: Manifest) -> Rows:
    """Average the MFCC of each clip: (clips, 78) means and standard deviations over its frames."""
    model, rows = MFCC(), []
    for place in range(len(manifest)):
        waveform = torch.from_numpy(manifest.read(place, MFCC.sample_rate))
        frames = model.features(waveform[None], torch.tensor([len(waveform)])).values["mfcc"][0]
        rows.append(torch.cat([frames.mean(dim=0), frames.std(dim=0)]).double().numpy())
    return np.stack(rows)


if __name__ == "__main__":
    main()
