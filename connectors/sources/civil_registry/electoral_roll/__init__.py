"""The electoral roll, as the decree has it."""
