"""Write fastabx.json: ABX errors of made-up recordings, by fastabx 0.9 (M. Poli and others, github.com/bootphon/fastabx).

fastabx needs Python 3.12 or later and a PyTorch newer than ours, so it has an environment of its own:

    uv venv --python 3.12 fastabx-environment
    uv pip install --python fastabx-environment/bin/python fastabx==0.9.0
    fastabx-environment/bin/python tests/golden/abx/make.py
"""

import json
import os
import tempfile
from importlib.metadata import version
from itertools import product
from pathlib import Path

import numpy as np
import torch
from fastabx import zerospeech_abx
from speech import RATE, as_distributions, speak


def main() -> None:
    """Measure everything both ways of slicing."""
    features, lines = speak()
    scores = {}
    with tempfile.TemporaryDirectory() as place:
        item = Path(place) / "phones.item"
        header = "#file onset offset #phone prev-phone next-phone speaker\n"
        rows = (f"{file} {onset:.4f} {offset:.4f} {' '.join(labels)}\n" for file, onset, offset, *labels in lines)
        item.write_text(header + "".join(rows))
        for distance in ("angular", "euclidean", "kl_symmetric"):
            folder = Path(place) / distance
            folder.mkdir()
            for name, frames in features.items():
                torch.save(torch.from_numpy(as_distributions(frames) if distance == "kl_symmetric" else frames), folder / f"{name}.pt")
        choices = product(("centers", "librilight"), ("angular", "euclidean", "kl_symmetric"), ("within", "across"), ("within", "any"))
        for slicing, distance, speaker, context in choices:
            os.environ["FASTABX_WITH_LIBRILIGHT_BUG"] = "1" if slicing == "librilight" else "0"
            scores[f"{slicing} {distance.removesuffix('_symmetric')} {speaker} {context}"] = zerospeech_abx(
                item,
                Path(place) / distance,
                max_size_group=None,
                max_x_across=None,
                speaker=speaker,
                context=context,
                distance=distance,
                frequency=RATE,
                device="cpu",
                progress=False,
            )
    made = {
        "fastabx": version("fastabx"),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "sum_of_features": float(sum(np.abs(frames).sum(dtype=np.float64) for frames in features.values())),
        "errors": scores,
    }
    Path(__file__).with_name("fastabx.json").write_text(json.dumps(made, indent=2) + "\n")


if __name__ == "__main__":
    main()
