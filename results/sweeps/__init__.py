"""Reports of sweeps: what was searched, what each arm chose, and how much of the gain is left on fresh seeds."""
