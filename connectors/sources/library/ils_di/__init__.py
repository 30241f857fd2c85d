"""ILS-DI as Koha speaks it: what a patron has borrowed and reserved."""
