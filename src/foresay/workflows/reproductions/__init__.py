"""Papers done again: one paper, one file, whose tables put our numbers beside the published ones."""
