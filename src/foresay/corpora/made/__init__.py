"""Corpora that are made from nothing: one corpus = one file."""
