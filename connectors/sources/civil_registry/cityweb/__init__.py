"""Demands for civil-status records to the town hall's CityWeb, and its answers."""
