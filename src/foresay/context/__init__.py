"""From latents to a context that remembers."""
