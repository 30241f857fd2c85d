"""API Particulier, by which the State tells a city what a family may have at which tariff."""
