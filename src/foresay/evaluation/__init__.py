"""Measures of what a model learnt: one file each, usable on plain arrays, on extractors, and as `foresay evaluate --measures …`."""
