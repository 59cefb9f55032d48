"""Write speech: WAV of 16 bits, whole or not at all; what is beyond full scale is limited to it, and counted."""

import io
from pathlib import Path

import numpy as np
import soundfile

from foresay.audio.read import Waveform
from foresay.errors import UserError
from foresay.files import make_folder, write_bytes


def write_speech(path: Path, waveform: Waveform, sample_rate: int) -> int:
    """Write samples (S,), full scale being 1, and return how many of them were beyond it. The folder is made.

    Raises:
        UserError: they are not finite.
    """
    if not np.isfinite(waveform).all():
        msg = f"{path}: what is to be written is not finite: the model that synthesized it has diverged (its metrics.jsonl says when)"
        raise UserError(msg)
    buffer = io.BytesIO()
    soundfile.write(buffer, waveform.clip(-1.0, 1.0), sample_rate, format="WAV", subtype="PCM_16")
    make_folder(path.parent)
    write_bytes(path, buffer.getvalue())
    return int((np.abs(waveform) > 1.0).sum())
