"""Criteria that measure nothing of the supernet: what a measured one has to beat, and what none can."""
