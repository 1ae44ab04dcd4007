"""A grid's folder: its cells, their index, their merging."""
