"""Synthesis models: from tokens to speech."""
