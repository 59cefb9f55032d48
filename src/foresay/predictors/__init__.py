"""Prediction heads: from a context to K predictions of what comes next. One kind, one file, one class.

Each is built as `LinearPredictor(context_size, latent_size, predictions, dropout)` and maps contexts (B, W, D) to predictions (B, K, W, D).
They serve training only and are of no use afterwards.
"""
