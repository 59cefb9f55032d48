"""Train or fit any other model: units of an encoder, and what learns from tokens.

Example:
    foresay train kmeans --corpus corpus/train.jsonl --run runs/units --encoder runs/hubert --set model.layer=L6
    foresay train unit-lm-tiny --units runs/units --corpus corpus/train.jsonl --valid corpus/valid.jsonl --run runs/lm
"""

from foresay.cli._training import TokenOptions, train_as


def run(arguments: list[str]) -> int:
    """Train."""
    return train_as("train", arguments, __doc__, TokenOptions)
