"""What is attacked: a reader, files that it reads, and what may come of others like them."""

import traceback
import warnings
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random

import ricsk
from ricsk.exceptions import RicskError

PACKAGE = str(Path(ricsk.__file__).parent)
REFUSED, SAME, READ, FORGED, CRASHED = "refused", "as it was", "read", "forged", "crashed"
FAILURES = FORGED, CRASHED

Change = Callable[[bytes, bytes, Random], bytes]


@dataclass(frozen=True, repr=False)
class Target:
    """A reader of what anybody may have written.

    Parameters
    ----------
    name : str
        What it reads.
    read : callable
        From bytes to something that can be compared.
    make_corpus : callable
        Makes files that it reads.
    changes : tuple of callable
        Ways to change them.
    forge : callable, optional
        Makes, from chance, what only somebody with a key can make, or who knows how check sums are
        computed. It has to be refused all the same.
    authentic : bool
        Whether nothing may be read but what the corpus holds.
    """

    name: str
    read: Callable[[bytes], Hashable]
    make_corpus: Callable[[], list[bytes]]
    changes: tuple[Change, ...]
    forge: Callable[[Random], bytes] | None = None
    authentic: bool = False

    def __repr__(self) -> str:
        return self.name

    @cached_property
    def corpus(self) -> list[bytes]:
        return self.make_corpus()

    @cached_property
    def contents(self) -> set[Hashable]:
        """What the files of the corpus hold; all of them open."""
        return {self.read(data) for data in self.corpus}

    def change(self, chance: Random) -> bytes:
        """Make another file out of one or two of the corpus."""
        data, other = chance.choice(self.corpus), chance.choice(self.corpus)
        for _ in range(chance.choice((1, 1, 1, 2, 5))):
            data = chance.choice(self.changes)(data, other, chance)
        return data

    def judge(self, data: bytes) -> tuple[str, Exception | None]:
        """Read a file, and say what came of it; the error tells why it is a failure."""
        contents = self.contents
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                found = self.read(data)
        except Exception as error:
            return (REFUSED, None) if is_refusal(error) else (CRASHED, error)
        if found in contents:
            return SAME, None
        return FORGED if self.authentic else READ, None


def is_refusal(error: Exception) -> bool:
    """Tell whether the package refused in words of its own.

    Its own types are refusals wherever they come from; a ValueError, or an OSError of a file that
    cannot be used, if this package has raised it and not a library below, whose words say little to
    a user.
    """
    if isinstance(error, RicskError):
        return bool(str(error))
    last = traceback.extract_tb(error.__traceback__)[-1]
    own = type(error) in (ValueError, OSError)
    return own and last.filename.startswith(PACKAGE) and bool(str(error))
