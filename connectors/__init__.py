"""Connectors: one folder per outside product; they do not know one another."""
