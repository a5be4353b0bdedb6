"""Classes have one public path, whatever file they are in and whoever loads them first."""

import sys
from types import ModuleType

import pytest

import ricsk.encryptors
from ricsk._publish import load_on_use, publish


def make_module(name, source, monkeypatch):
    module = ModuleType(name)
    monkeypatch.setitem(sys.modules, name, module)
    exec(source, vars(module))
    return module


@pytest.fixture
def room(monkeypatch):
    """A package with a room, and in that a file, which is loaded on use at two levels."""
    make_module("top", "__all__ = ['Thing', 'act']", monkeypatch)
    above = make_module("top.above", "__all__ = ['Thing', 'act']", monkeypatch)
    room = make_module("top.above.room", "__all__ = ['Thing', 'act', 'Inner']", monkeypatch)
    source = """
class Thing:
    def method(self): pass
    @classmethod
    def make(cls): pass
class Inner: pass
def act(): pass
"""
    make_module("top.above.room._file", source, monkeypatch)
    homes = {"_file": ("Thing", "act", "Inner")}
    room.__getattr__, room.__dir__ = load_on_use(vars(room), homes)
    above.__getattr__, above.__dir__ = load_on_use(
        vars(above), {"room": ("Thing", "act")}, ["more"]
    )
    return room


@pytest.mark.parametrize("first", ["top.above", "top.above.room"])
def test_the_path_is_the_highest_below_the_top_whoever_loads_first(room, first):
    thing = sys.modules[first].Thing
    for part in (thing, thing.method, thing.make.__func__, room.act):
        assert part.__module__ == "top.above"
    assert room.Inner.__module__ == "top.above.room"
    assert sys.modules["top.above"].Thing is thing is room.Thing


def test_what_is_loaded_stays(room):
    assert "Thing" not in vars(room)
    assert vars(room).get("Thing", room.Thing) is vars(room)["Thing"]


def test_eager_rooms_have_the_same_paths(room):
    file = sys.modules["top.above.room._file"]
    vars(room).update({name: vars(file)[name] for name in room.__all__})
    publish(vars(room))
    assert file.Thing.method.__module__ == file.act.__module__ == "top.above"
    assert file.Inner.__module__ == "top.above.room"


def test_unknown_names_are_attribute_errors(room):
    with pytest.raises(AttributeError, match=r"module 'top.above.room' has no attribute 'nothing'"):
        _ = room.nothing
    assert {"Thing", "act", "Inner", "_file"} <= set(room.__dir__())


def test_rooms_are_attributes(room, monkeypatch):
    more = make_module("top.above.more", "", monkeypatch)
    assert sys.modules["top.above"].more is more
    assert sys.modules["top.above"].room is room


@pytest.mark.parametrize("name", ricsk.encryptors.__all__)
def test_encryptors_have_their_public_path(name):
    assert getattr(ricsk.encryptors, name).__module__ == "ricsk.encryptors"
    if name in ricsk.__all__:
        assert getattr(ricsk, name) is getattr(ricsk.encryptors, name)
    assert name in dir(ricsk.encryptors)
