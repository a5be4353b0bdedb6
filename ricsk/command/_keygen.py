"""``ricsk keygen``."""

from __future__ import annotations

from pathlib import Path

import click

from ricsk.command._options import FILE
from ricsk.command._terminal import print_note

__all__ = ["keygen"]


@click.command()
@click.argument("keyfile", type=FILE)
@click.option(
    "--public",
    type=FILE,
    metavar="FILE",
    help="Make a key pair: the private key in KEYFILE, the public one here.",
)
@click.option("--post-quantum", is_flag=True, help="With --public: MLKEM768-X25519, not X25519.")
def keygen(keyfile: Path, public: Path | None, post_quantum: bool) -> None:
    """Make a key, and write it into a file that nobody else may read.

    Whoever has the file opens everything that is sealed with it, and without it nobody does: keep
    a copy. With --public, FILE can be given to anybody, to seal for you.
    """
    from ricsk.keys import PrivateKey, SecretKey

    if public is None:
        if post_quantum:
            raise click.UsageError("--post-quantum is for key pairs; add --public FILE.")
        key = SecretKey.generate().save(keyfile)
        print_note(f"{keyfile}: key {key.key_id}")
        return
    if public.exists():  # before there is a private key without its public one
        raise FileExistsError(f"{str(public)!r} exists, and is not overwritten.")
    private = PrivateKey.generate("MLKEM768-X25519" if post_quantum else "X25519").save(keyfile)
    private.public_key.save(public)
    print_note(f"{keyfile}: private key of {private.fingerprint}, whose public key is {public}")
