"""Classifiers on frozen features: phones, speakers."""
