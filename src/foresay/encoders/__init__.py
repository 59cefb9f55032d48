"""Encoders: from waveforms (or images) to latent frames. One encoder, one file, one class."""
