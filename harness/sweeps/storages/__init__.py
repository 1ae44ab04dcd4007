"""Where a sweep's trials are kept."""
