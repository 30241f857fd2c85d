"""SIP2: what a patron has borrowed and can fetch, where a library has nothing better to ask."""
