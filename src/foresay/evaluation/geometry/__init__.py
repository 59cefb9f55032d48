"""The geometry of frames: similarity, uniformity, robustness, t-SNE."""
