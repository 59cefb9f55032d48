"""Unit models: tokenizers that are fitted on the features of another model."""
