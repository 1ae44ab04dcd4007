"""From an edge's affinity to groups of operations."""
