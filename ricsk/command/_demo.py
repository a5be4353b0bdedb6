"""``ricsk demo``."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from ricsk.command._errors import ExitCode
from ricsk.command._options import FILE
from ricsk.command._terminal import print_line
from ricsk.exceptions import CommandError

__all__ = ["demo"]


@click.command()
@click.option(
    "--output", type=FILE, metavar="FOLDER", help="Where to leave the files; nowhere by default."
)
def demo(output: Path | None) -> None:
    """Seal and open a small folder of photographs."""
    if output is not None:
        _run(output)
        return
    with tempfile.TemporaryDirectory() as folder:
        _run(Path(folder))


def _run(folder: Path) -> None:
    from PIL import Image

    from ricsk.datasets import load_photos
    from ricsk.files import decrypt_folder, encrypt_folder
    from ricsk.keys import SecretKey

    plain, sealed, back = (folder / name for name in ("photos", "sealed", "opened"))
    plain.mkdir(parents=True)
    for name, photo in zip(("temple.jpg", "flower.png"), load_photos(), strict=True):
        Image.fromarray(photo).save(plain / name)
    key = SecretKey.generate()
    print_line(f"key {key.key_id}")
    for result in encrypt_folder(plain, sealed, key=key):
        print_line(_describe("sealed", result.source, result.destination))
    for result in decrypt_folder(sealed, back, key):
        print_line(_describe("opened", result.source, result.destination))
    same = all(path.read_bytes() == (back / path.name).read_bytes() for path in plain.iterdir())
    refused = all(
        result.status == "failed"
        for result in decrypt_folder(sealed, folder / "stolen", SecretKey.generate())
    )
    print_line(f"byte for byte the same: {'yes' if same else 'NO'}")
    print_line(f"another key: {'refused' if refused else 'NOT REFUSED'}")
    if not (same and refused):
        raise CommandError("the demo failed.", ExitCode.FAILED)


def _describe(verb: str, source: Path, destination: Path | None) -> str:
    sizes = [path.stat().st_size / 1000 for path in (source, destination) if path is not None]
    names = f"{source.name} -> {destination.name if destination else '-'}"
    return f"{verb}  {names}  ({' -> '.join(f'{size:.0f} kB' for size in sizes)})"
