"""Softmax regression trained by Adam, with loops over frames and classes: slow, and in float64."""

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class SoftmaxRegression:
    """Scores are W x + b; one call of `update` is one step of Adam on the mean cross-entropy of a batch."""

    def __init__(self, weight: Array, bias: Array, learning_rate: float, betas: tuple[float, float], eps: float) -> None:
        self.weight, self.bias = weight.astype(np.float64), bias.astype(np.float64)
        self.learning_rate, self.betas, self.eps = learning_rate, betas, eps
        self.moments = {"weight": (0.0 * self.weight, 0.0 * self.weight), "bias": (0.0 * self.bias, 0.0 * self.bias)}
        self.steps = 0

    def probabilities(self, frame: Array) -> list[float]:
        scores = [sum(w * x for w, x in zip(row, frame, strict=True)) + b for row, b in zip(self.weight, self.bias, strict=True)]
        exponentials = [math.exp(score - max(scores)) for score in scores]
        return [e / sum(exponentials) for e in exponentials]

    def update(self, features: Array, labels: NDArray[np.int64]) -> None:
        weight_gradient, bias_gradient = np.zeros_like(self.weight), np.zeros_like(self.bias)
        for frame, label in zip(features, labels, strict=True):
            for c, p in enumerate(self.probabilities(frame)):
                error = (p - (1.0 if c == label else 0.0)) / len(labels)
                weight_gradient[c] += error * frame
                bias_gradient[c] += error
        self.steps += 1
        self.weight = self._adam("weight", self.weight, weight_gradient)
        self.bias = self._adam("bias", self.bias, bias_gradient)

    def _adam(self, name: str, value: Array, gradient: Array) -> Array:
        """Kingma and Ba 2015, Algorithm 1."""
        (first, second), (beta1, beta2) = self.moments[name], self.betas
        first = beta1 * first + (1.0 - beta1) * gradient
        second = beta2 * second + (1.0 - beta2) * gradient**2
        self.moments[name] = (first, second)
        unbiased = first / (1.0 - beta1**self.steps), second / (1.0 - beta2**self.steps)
        return np.asarray(value - self.learning_rate * unbiased[0] / (np.sqrt(unbiased[1]) + self.eps))
