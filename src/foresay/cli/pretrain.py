"""Train a model on the audio of a manifest, or go on with a run that exists.

Example:
    foresay pretrain acpc --corpus corpus/train.jsonl --valid corpus/valid.jsonl --run runs/acpc --set data.batch=8
"""

from foresay.cli._training import train_as


def run(arguments: list[str]) -> int:
    """Pre-train."""
    return train_as("pretrain", arguments, __doc__)
