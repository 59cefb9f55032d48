"""Quantizers: from vectors to codes. One quantizer, one file, one class."""
