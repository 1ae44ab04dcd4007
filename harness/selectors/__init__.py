"""How an architecture is chosen: of a leaf, and of the leaves' choices."""
