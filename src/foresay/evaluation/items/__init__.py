"""Whole items: probes, geometry, retrieval, maps."""
