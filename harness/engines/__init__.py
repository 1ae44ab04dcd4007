"""What runs stages, and what keeps it busy."""
