"""The training loop: it knows contracts, not models."""
