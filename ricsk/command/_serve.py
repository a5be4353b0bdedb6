"""``ricsk serve``."""

from __future__ import annotations

import click

__all__ = ["serve"]


# The service has a parser of its own, which is given everything, --help included.
@click.command(
    context_settings={
        "allow_extra_args": True,
        "ignore_unknown_options": True,
        "help_option_names": [],
    }
)
@click.pass_context
def serve(context: click.Context) -> None:
    """Serve classifiers by the Open Inference Protocol."""
    from ricsk.cloud.serve import main

    main(context.args)
