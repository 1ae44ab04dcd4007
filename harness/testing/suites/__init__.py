"""What every component of a kind must hold."""
