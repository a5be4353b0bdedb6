"""The command ``ricsk``: photographs on disk, sealed, classified and opened, without a script."""

from ricsk.command._app import app, main

__all__ = ["app", "main"]
