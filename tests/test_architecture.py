"""The house rules of CONTRIBUTING.md, held against the code."""

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path
from types import FunctionType

import pytest

import ricsk
from ricsk import exceptions

ROOT = Path(ricsk.__file__).parent
CONTRIBUTING = ROOT.parent / "CONTRIBUTING.md"
PUBLIC = sorted(m.name for m in pkgutil.iter_modules([str(ROOT)]) if not m.name.startswith("_"))


GROUND = {"exceptions", *(p.stem for p in ROOT.glob("_*.py"))}
# What variables of these names hold comes from these rooms.
OWNERS = {
    "encryptor": {"base", "encryptors"},
    "classifier": {"classifiers"},
    "key": {"keys"},
    "reader": {"nae"},
}


def read_table():
    """Read the rooms of the house from top to bottom, and what each may import."""
    row = re.compile(r"^\| `ricsk/(\w+)(?:\.py|/)` \|.*\|([^|]*)\|$", re.MULTILINE)
    _, _, house = CONTRIBUTING.read_text(encoding="utf-8").partition("| imports |")
    house, _, _ = house.partition("\n\n")
    return {room: set(re.findall(r"`(\w+)`", imports)) for room, imports in row.findall(house)}


@cache
def parse():
    """Parse all files: a list of (room, place, tree)."""
    files = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")
    trees = []
    for path in files:
        inside = path.relative_to(ROOT)
        trees.append((inside.parts[0].removesuffix(".py"), inside, ast.parse(path.read_text())))
    return trees


def find_imports():
    """Yield (room, place, imported module, imported name or None) for each import of our own."""
    for room, path, tree in parse():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}:{node.lineno} imports relatively"
                found = [(node.module, alias.name) for alias in node.names]
            elif isinstance(node, ast.Import):
                found = [(alias.name, None) for alias in node.names]
            else:
                continue
            for module, name in found:
                if module.split(".")[0] == "ricsk":
                    yield room, f"{path}:{node.lineno}", module, name


def find_edges():
    """Find which rooms each room imports."""
    edges = defaultdict(set)
    for room, _, module, name in find_imports():
        other = module.split(".")[1] if "." in module else name
        edges[room].add(other)
    return {room: others - {room} for room, others in edges.items()}


def test_every_room_is_in_the_table():
    assert sorted(read_table()) == PUBLIC


def test_every_room_imports_what_it_may():
    allowed = read_table()
    excess = {
        room: others - GROUND - allowed[room]
        for room, others in find_edges().items()
        if room not in GROUND
    }
    assert {room: others for room, others in excess.items() if others} == {}


def test_imports_run_downward_only():
    """Each room imports rooms that are named before it, so that there is no circle."""
    above = set()
    for room, imports in read_table().items():
        assert imports <= above, f"{room} imports {imports - above}, which stand below it"
        above.add(room)


def test_the_ground_lies_below_all_rooms():
    edges = find_edges()
    assert {room: edges[room] - GROUND for room in GROUND & edges.keys()} == {
        "__main__": {"command"},
        **{
            room: {"images"} if room in {"_estimator", "_state"} else set()
            for room in GROUND & edges.keys() - {"__main__"}
        },
    }


def test_no_room_imports_what_is_private_to_another():
    crossings = []
    for room, place, module, name in find_imports():
        _, other, *inner = [*module.split("."), name or ""]
        private = [part for part in inner if re.match("_[^_]", part)]
        if private and other not in {room, *GROUND}:
            crossings.append(f"{place} imports {name} of {module}")
    assert not crossings, "\n".join(crossings)


def test_no_room_uses_private_attributes_of_another():
    """An attribute belongs to the rooms that define it, and to that of which its owner comes."""
    defined, used = defaultdict(set), []
    for room, path, tree in parse():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                defined[node.name].add(room)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                defined[node.id].add(room)
            elif isinstance(node, ast.Attribute) and re.match("_[a-z]", node.attr):
                owner = ast.unparse(node.value)
                if owner == "self" and isinstance(node.ctx, ast.Store):
                    defined[node.attr].add(room)
                elif owner not in ("self", "cls", "super()") and node.attr != "_replace":
                    used.append((room, owner, node.attr, f"{path}:{node.lineno}"))
    crossings = []
    for room, owner, name, place in used:
        rooms = defined[name] & OWNERS.get(owner.split(".")[-1].rstrip("_"), defined[name])
        if rooms and room not in rooms:
            crossings.append(f"{place} {owner}.{name}")
    assert not crossings, "\n".join(crossings)


def reach(room, edges):
    found, new = set(), {room}
    while new:
        found |= new
        new = {other for one in new for other in edges.get(one, ())} - found
    return found


@pytest.mark.parametrize("room", ["cloud", "search"])
def test_the_cloud_reaches_neither_keys_nor_encryptors(room):
    assert reach(room, find_edges()).isdisjoint({"keys", "base", "encryptors", "private"})


def run(program):
    """Run a program in an interpreter that has imported nothing."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


LOADED = "import sys; print(*sys.modules)"


def test_a_loaded_cloud_half_has_loaded_neither_keys_nor_encryptors(tmp_path):
    import pickle

    import numpy as np
    from sklearn.linear_model import LogisticRegression

    from ricsk.cloud import CloudHalf

    path = tmp_path / "half"
    half = CloudHalf(LogisticRegression().fit(np.eye(2), [0, 1]))
    path.write_bytes(pickle.dumps(half))
    load = f"import pickle; pickle.load(open({str(path)!r}, 'rb')).predict([[0, 1]])"
    loaded = run(f"import ricsk.cloud; {load}; {LOADED}")
    assert "ricsk.cloud" in loaded
    assert [
        name for name in loaded if re.match(r"ricsk\.(keys|encryptors|base)\b|torch$", name)
    ] == []


def test_keys_wait_for_neither_torch_nor_sklearn():
    loaded = run(f"import ricsk.keys; ricsk.SecretKey.generate(); {LOADED}")
    assert "ricsk.keys" in loaded
    assert {"torch", "sklearn", "scipy", "pandas"}.isdisjoint(loaded)


def test_importing_the_package_loads_nothing_else():
    assert [name for name in run(f"import ricsk; {LOADED}") if name.startswith("ricsk.")] == [
        "ricsk._publish",
        "ricsk._version",
    ]


@pytest.mark.parametrize("room", PUBLIC)
def test_every_public_room_is_an_attribute(room):
    assert getattr(ricsk, room) is importlib.import_module(f"ricsk.{room}")
    assert room in dir(ricsk)


def test_to_encrypt_does_not_load_the_compiler_of_torch():
    """It takes a second or two, and 70 MiB; the first optimizer of torch.optim would load it."""
    loaded = run(
        f"""
from sklearn.linear_model import LogisticRegression
from ricsk import RICEncryptor, SealedEncryptor, SecretKey
from ricsk.datasets import load_digits
X, y = load_digits(size=16)
X, y = X[:100] // 64 * 64 / 255, y[:100] % 2
for kind, options in ((RICEncryptor, {{}}), (SealedEncryptor, {{"appearance": "compact"}})):
    encryptor = kind(SecretKey.generate(), LogisticRegression(), kappa=0, **options)
    encryptor.fit(X, y).transform(X[:2])
{LOADED}
"""
    )
    assert "ricsk.nae._templates" in loaded
    assert "torch._dynamo" not in loaded


def test_public_rooms_are_there_without_an_import_of_their_own():
    assert run(f"import ricsk; print(*(getattr(ricsk, r).__name__ for r in {PUBLIC}))") == [
        f"ricsk.{room}" for room in PUBLIC
    ]


def test_the_face_says_three_times_the_same():
    """In `__all__`, in the imports for type checkers, and in `_HOMES`."""
    tree = ast.parse((ROOT / "__init__.py").read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    typed = {node.module: tuple(alias.name for alias in node.names) for node in block.body}
    assert typed == {f"ricsk.{room}": names for room, names in ricsk._HOMES.items()}
    assert ricsk.__all__ == sorted(name for names in ricsk._HOMES.values() for name in names)
    assert {*ricsk._HOMES, *ricsk._ROOMS} == set(PUBLIC)
    for room, names in ricsk._HOMES.items():
        for name in names:
            assert getattr(ricsk, name) is getattr(getattr(ricsk, room), name)


@pytest.mark.parametrize("room", PUBLIC)
def test_what_a_room_exports_names_its_public_path(room):
    """Pickles and lists of trusted types hold these paths."""
    module = importlib.import_module(f"ricsk.{room}")
    values = {name: getattr(module, name) for name in module.__all__}
    assert len(values) == len(module.__all__)
    for name, value in values.items():
        if isinstance(value, type | FunctionType):
            path = value.__module__
            assert not re.search(r"\._", path), f"{room}.{name} says that it is in {path}"
            assert getattr(importlib.import_module(path), value.__qualname__) is value


def test_all_exceptions_are_in_one_room_and_in_its_tree():
    for module in pkgutil.walk_packages(ricsk.__path__, "ricsk."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, type) and issubclass(value, BaseException):
                assert not value.__module__.startswith("ricsk") or (
                    value is getattr(exceptions, value.__name__)
                )
    errors = {getattr(exceptions, name) for name in exceptions.__all__}
    errors -= {error for error in errors if issubclass(error, Warning)}
    root = exceptions.RicskError
    assert all(issubclass(error, root) for error in errors)
    tree = re.findall(r"[├└]── (\w+) \((\w+)\)", exceptions.__doc__)
    assert tree == sorted(
        (error.__name__, error.__bases__[-1].__name__) for error in errors if error is not root
    )
