"""k-means on frames: purity, mutual information, slowness."""
