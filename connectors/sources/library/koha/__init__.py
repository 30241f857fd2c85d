"""Koha by its REST interface and its notices."""
