"""HTTP: the account's API and page, incoming calls, the schema registry, the operations page."""
