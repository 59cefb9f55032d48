"""Statistics: bootstrap intervals, estimates from sums, scores of clusterings, edit distance."""
