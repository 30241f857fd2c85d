"""Run the command line as a module: `python -m hub.cli`."""

from hub.cli.main import main

main()
