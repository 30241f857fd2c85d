"""Civil registry: records, requests, declarations."""
