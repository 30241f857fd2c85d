"""Answers of the national register of persons to questions of identity."""
