"""Intervals and tests over seeds and over functions, and what they say in a sentence."""
