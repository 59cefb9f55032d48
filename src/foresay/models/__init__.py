"""The systems of the papers: one system, one file, told from top to bottom."""
