"""Corpora that exist: one corpus = one file."""
