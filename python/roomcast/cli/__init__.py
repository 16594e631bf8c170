"""The command ``roomcast``; each subcommand is a module that adds its arguments and the function that runs it."""

from roomcast.cli.main import main

__all__ = ["main"]
