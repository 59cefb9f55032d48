"""Intervals, bootstrap, estimates, edit distance."""
