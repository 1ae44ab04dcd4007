"""Geometry of partitions: how far they agree, and its report."""
