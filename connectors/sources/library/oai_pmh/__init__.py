"""OAI-PMH: the records of a catalogue, as they come, change and go."""
