"""Train a recognizer on transcribed speech, on top of an encoder or from scratch.

Example:
    foresay finetune ctc-tiny --encoder runs/acpc --corpus corpus/labelled.jsonl --valid corpus/valid.jsonl --run runs/asr
    foresay finetune ctc-tiny --encoder runs/acpc --corpus corpus/labelled.jsonl --run runs/asr --check
"""

from foresay.cli._training import FineTuningOptions, train_as


def run(arguments: list[str]) -> int:
    """Fine-tune."""
    return train_as("finetune", arguments, __doc__, FineTuningOptions)
