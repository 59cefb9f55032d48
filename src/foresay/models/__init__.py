"""The systems of the papers: one system, one file, which reads from top to bottom."""
