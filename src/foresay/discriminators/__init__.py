"""Discriminators: networks that learn to distinguish recorded waveforms from synthesized ones."""
