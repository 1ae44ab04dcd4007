"""Estimates that were made elsewhere, held against the ground truth."""
