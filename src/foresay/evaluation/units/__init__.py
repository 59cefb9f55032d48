"""Discrete units: how many bits they take, how long they last, and what they say of phones."""
