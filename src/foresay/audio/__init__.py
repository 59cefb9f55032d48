"""Sound: reading, resampling, spectrograms, and the voice of the embedded corpus."""
