"""The gate: a baseline, a comparison with it, its reports."""
