"""Sweeps: every arm gets the same number of trials of its parameters."""
