"""The city's application, called with signed messages."""
