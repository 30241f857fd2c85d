"""Resident parking permits and resident tickets: asked for, decided, paid, ending."""
