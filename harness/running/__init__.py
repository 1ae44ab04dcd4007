"""Many runs in a results folder: studies, grids, forecasts."""
