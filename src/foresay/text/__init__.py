"""Text: normalization, vocabularies of symbols, lexica of spellings and pronunciations, ARPA files, perplexity."""
