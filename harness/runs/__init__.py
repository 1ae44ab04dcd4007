"""One run: the stages that one arm asks for at one repetition, their prices, its tree and its record."""
