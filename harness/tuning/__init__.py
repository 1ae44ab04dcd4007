"""Sweeps: what is tuned, where trials are kept, which trial runs next, and how its configuration is chosen."""
