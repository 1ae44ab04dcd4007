"""Estimates that were made elsewhere, measured, and as rows of a leaderboard."""
