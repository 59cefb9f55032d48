"""The ten tasks of SUPERB on frozen features: one task, one file."""
