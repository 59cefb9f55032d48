"""Images: reading and writing."""
