"""INSEE: the monthly file of deaths, and what families had removed from it."""
