"""Canonical schemas: `<domain>/<Record>/v<N>.avsc` are the source, `models/` is generated from them."""
