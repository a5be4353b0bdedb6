"""The command ``ricsk``: photographs on disk, sealed, classified and opened, without a script."""

from ricsk._publish import publish
from ricsk.command._app import main

__all__ = ["main"]

publish(globals())
