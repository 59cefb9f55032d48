"""What a model of the tokens of speech knows of a language: zero-shot, by what it finds likely, and by what it says."""
