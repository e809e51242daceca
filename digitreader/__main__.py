"""`python -m digitreader` is the `digits` command."""

from digitreader.cli import app

app(prog_name="digits")
