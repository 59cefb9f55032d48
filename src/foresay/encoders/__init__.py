"""From waveforms to latent frames."""
