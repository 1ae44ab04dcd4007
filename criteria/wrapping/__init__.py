"""Criteria made of other criteria."""
