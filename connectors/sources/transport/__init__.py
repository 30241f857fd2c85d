"""Public transport: disruptions."""
