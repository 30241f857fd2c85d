"""The "M" feed of the Grenoble area: disruptions of public transport."""
