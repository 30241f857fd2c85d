"""FOLIO: loans and requests of linked patrons, by its circulation interface."""
