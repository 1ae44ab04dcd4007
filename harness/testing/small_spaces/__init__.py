"""Search spaces for tests."""
