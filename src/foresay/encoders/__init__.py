"""From waveforms to latent frames. One encoder, one file, one class."""
