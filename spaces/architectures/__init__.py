"""Sets of architectures: populations, what a leaf owns, what it trains."""
