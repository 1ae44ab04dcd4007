"""Many runs in a results folder: studies and grids."""
