"""Numbers that a ranking has: correlations, top-heavy measures, their families and ceilings."""
