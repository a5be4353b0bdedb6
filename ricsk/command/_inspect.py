"""``ricsk inspect``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ricsk.command._options import FILE
from ricsk.command._terminal import print_line

__all__ = ["inspect"]


@click.command()
@click.argument("file", type=FILE)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def inspect(file: Path, as_json: bool) -> None:
    """Print what a ciphertext says in public: scheme, version, id of the key, settings."""
    from ricsk.files import read_header

    header = read_header(file)
    said = {
        "scheme": header.scheme,
        "version": header.version,
        "key id": header.key_id,
        "size of the images": header.image_shape,
        **header.parameters,
        "bytes": file.stat().st_size,
    }
    if as_json:
        print_line(json.dumps(said))
        return
    width = max(map(len, said))
    for name, value in said.items():
        print_line(f"{name:{width}}  {'-' if value is None else value}")
