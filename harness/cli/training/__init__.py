"""Verbs that train, score or join."""
