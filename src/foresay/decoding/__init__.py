"""From emissions to symbols, words and times: searches on tensors, which know neither a model nor an n-gram, only their contracts."""
