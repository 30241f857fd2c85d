"""The town in a box: its people, its vendors, its school day, and the journal of what it said."""
