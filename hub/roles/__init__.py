"""Roles: one file each, which puts the parts together; the order of start and stop is read here."""
