"""Read and write pictures."""
