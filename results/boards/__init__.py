"""Leaderboards: tables of arms, their rows, and two arms side by side."""
