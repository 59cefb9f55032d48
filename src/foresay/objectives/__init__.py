"""Objectives: the losses that models minimize."""
