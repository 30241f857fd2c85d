"""What tests and the demonstration need: a town, a cluster, a memory log."""
