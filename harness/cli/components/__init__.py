"""Verbs for data, this machine, and components of one's own."""
