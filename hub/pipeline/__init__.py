"""The path from bytes to decisions.

Rule 1: nothing here raises for what a record holds.  Rule 2: nothing here waits, reads a clock or
throws dice.  Rule 3: nothing here knows which system a record came from.
"""
