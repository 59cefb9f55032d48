"""Layers that several parts share: Transformer and Conformer blocks, dropout, pooling, queues, moving averages."""
