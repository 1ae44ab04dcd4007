"""Which values a trial tries, and when it stops."""
