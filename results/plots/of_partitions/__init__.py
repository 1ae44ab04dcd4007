"""Pictures of splits."""
