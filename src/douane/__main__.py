"""`python -m douane` is the command `douane`."""

from douane.cli.main import run

run()
