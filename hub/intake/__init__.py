"""Drivers of the sans-I/O sources: they carry out what a source wishes, and nothing else."""
