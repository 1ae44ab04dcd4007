"""Components from anywhere: loading them, and the files that a plugin consists of."""
