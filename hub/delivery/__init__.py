"""Drivers of the sinks: they take rows of the outbox to where they belong."""
