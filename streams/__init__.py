"""What the city does with events: pure functions, one file each; they do not know one another."""
