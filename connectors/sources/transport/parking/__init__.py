"""Car parks and park-and-ride sites, with the places that are free."""
