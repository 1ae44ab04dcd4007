"""What a split costs and brings, and from which budget on it pays."""
