"""From a finished folder to results/published."""
