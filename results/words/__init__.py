"""Sheets of words, and what is made of them: markdown, a terminal, JSON, CSV."""
