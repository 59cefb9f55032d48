"""From tokens to tokens: language models."""
