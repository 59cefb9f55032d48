"""Phone boundaries from features."""
