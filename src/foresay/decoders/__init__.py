"""Decoders: from frames to waveforms."""
