"""Representation models: from speech (and images) to frames of features."""
