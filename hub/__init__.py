"""The municipal hub: events between a city's systems, and from them to its residents.

The engine knows no product and no domain: connectors and streams are found by a folder scan.
"""

__version__ = "0.1.0"
