"""Give a model to other programs: a Hugging Face folder, a torch.export program, or ONNX.

Example:
    foresay export runs/wav2vec2 my-wav2vec2/ --to huggingface
"""

from dataclasses import dataclass
from pathlib import Path

import tyro

from foresay.trust import trusting
from foresay.workflows.export import Format, export


@dataclass(frozen=True)
class Options:
    """The model, the format, and the folder to write to."""

    model: tyro.conf.Positional[str]
    """A run, RUN@step, a model folder, hf:NAME or a .pt file of fairseq."""
    dest: tyro.conf.Positional[Path]
    """A new folder."""
    to: Format
    """huggingface: for transformers. torch: for torch.export.load. onnx: for ONNX runtimes (extra onnx)."""
    layers: str | None = None
    """Of a program: layers it gives, such as z,c; default: the last one."""
    trust: bool = False
    """Run code outside Foresay that a model folder names or brings along."""


def run(arguments: list[str]) -> None:
    """Write the folder and print what it contains."""
    options = tyro.cli(Options, prog="foresay export", args=arguments, description=__doc__)
    layers = options.layers.split(",") if options.layers else None
    with trusting(options.trust):
        folder = export(options.model, options.dest, to=options.to, layers=layers)
    for file in sorted(folder.iterdir()):
        print(f"{file} ({file.stat().st_size / 1e6:.1f} MB)")
