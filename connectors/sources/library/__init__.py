"""Libraries: loans and holds."""
