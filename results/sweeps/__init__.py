"""Sweeps as results read them: what was searched, what each arm chose, what is left of it on fresh seeds."""
