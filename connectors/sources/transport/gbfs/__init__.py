"""Stations of shared bicycles and the like, with what can be taken and given back there."""
