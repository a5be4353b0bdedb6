"""The reference page lists what is public, all of it and nothing else."""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import ricsk
import ricsk.exceptions

# Rooms within rooms, whose parent exports what is public, and what networks are trained with: no
# promise is made on them.
INTERNAL = ("ricsk.attacks.", "ricsk.encryptors.", "ricsk.training")

REFERENCE = Path(__file__).parent.parent / "docs" / "reference.rst"


def find_public_modules():
    names = [module.name for module in pkgutil.walk_packages(ricsk.__path__, "ricsk.")]
    public = [name for name in names if not any(part.startswith("_") for part in name.split("."))]
    promised = [name for name in public if not name.startswith(INTERNAL)]
    return [ricsk, *map(importlib.import_module, promised)]


def list_public_names(module):
    if module is ricsk.exceptions:
        return [name for name, value in vars(module).items() if inspect.isclass(value)]
    return getattr(module, "__all__", [])


def read_listed_names():
    """Find what is described on the page, or listed in its tables, as full paths."""
    text = REFERENCE.read_text("utf8")
    tables = re.findall(r"\.\. autosummary::\n((?:   .*\n|\n)*)", text)
    lines = [line.strip() for table in tables for line in table.splitlines()]
    names = [line for line in lines if line and not line.startswith(":")]
    return [f"ricsk.{name}" for name in names + re.findall(r"\.\. py:data:: (\S+)", text)]


def resolve(path):
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("module", find_public_modules(), ids=lambda module: module.__name__)
def test_every_public_name_is_listed(module):
    listed = {id(resolve(path)) for path in read_listed_names()}
    public = list_public_names(module)
    missing = [name for name in public if id(getattr(module, name)) not in listed]
    assert not missing, f"docs/reference.rst lacks {missing} of {module.__name__}"


@pytest.mark.parametrize("path", read_listed_names())
def test_every_listed_name_is_public(path):
    module, _, name = path.rpartition(".")
    assert name in list_public_names(importlib.import_module(module))


def test_nothing_is_listed_twice():
    listed = read_listed_names()
    objects = [id(resolve(path)) for path in listed]
    assert len(set(objects)) == len(listed) > 100
