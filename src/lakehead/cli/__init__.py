"""The `lakehead` command."""

from lakehead.cli.app import main

__all__ = ["main"]
