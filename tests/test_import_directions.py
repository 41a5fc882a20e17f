"""Imports point upwards, take nothing private of another room, and pages go by a room's face."""

import ast
import importlib
import json
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PACKAGE = ROOT / "jaxrl"

# From the top down. Rooms in one tuple are neighbours: neither may import the other.
ROOMS = [
    ("types",),
    ("keys",),
    ("sharding",),
    ("settings",),
    ("ops",),
    ("distributions",),
    ("exploration",),
    ("networks",),
    ("replay",),
    ("environments",),
    ("learning",),
    ("loops",),
    ("policy_gradient", "q_learning", "actor_critic", "search"),
    ("registry",),
    ("presets",),
    ("transfer",),
    ("training",),
    ("alternation",),
    ("runs",),
    ("sweeps",),
    ("reports",),
    ("cli",),
    ("__main__",),
]
RANKS = {room: rank for rank, rooms in enumerate(ROOMS) for room in rooms}


def module_name(path: pathlib.Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_names(source: str, module: str, *, is_package: bool) -> list[str]:
    """Full names of everything of ours that a file imports, inside functions too."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                parent = parts[: len(parts) - node.level + is_package]
                base = ".".join([*parent, base] if base else parent)
            names += [f"{base}.{alias.name}" for alias in node.names]
    return [name for name in names if name.split(".")[0] == "jaxrl"]


def wrong_imports(source: str, module: str, *, is_package: bool = False) -> list[str]:
    """What a module imports and may not: a room below or beside its own, or the package's front."""
    room = module.split(".")[1]
    wrong = []
    for name in imported_names(source, module, is_package=is_package):
        parts = name.split(".")
        target = parts[1] if len(parts) > 1 else ""
        if target != room and RANKS.get(target, len(ROOMS)) >= RANKS[room]:
            wrong.append(name)
    return wrong


SCRIPTS = sorted(
    path
    for path in (ROOT / "benchmarks").rglob("*.py")
    # What peers have installed, where their environments were made.
    if ROOT / "benchmarks" / "environments" not in path.parents
)
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_imports_point_upwards(path: pathlib.Path) -> None:
    module = module_name(path)
    assert module.split(".")[1] in RANKS, f"{module} is in no room: add the room to ROOMS"
    is_package = path.name == "__init__.py"
    assert wrong_imports(path.read_text(), module, is_package=is_package) == []


@pytest.mark.parametrize(
    ("module", "source", "wrong"),
    [
        ("jaxrl.ops.returns", "from jaxrl.types import Key", []),
        ("jaxrl.ops.returns", "from jaxrl.ops import statistics", []),
        ("jaxrl.ops.returns", "from . import statistics", []),
        ("jaxrl.ops.returns", "from jaxrl import networks", ["jaxrl.networks"]),
        ("jaxrl.ops.returns", "from ..networks import mlp", ["jaxrl.networks.mlp"]),
        ("jaxrl.ops.returns", "import jaxrl.policy_gradient.ppo", ["jaxrl.policy_gradient.ppo"]),
        ("jaxrl.ops.returns", "def f():\n    import jaxrl.cli", ["jaxrl.cli"]),
        ("jaxrl.q_learning", "import jaxrl.search", ["jaxrl.search"]),
        ("jaxrl.cli", "import jaxrl", ["jaxrl"]),
        ("jaxrl.cli", "import jax, optax", []),
    ],
)
def test_a_wrong_direction_is_noticed(module: str, source: str, wrong: list[str]) -> None:
    assert wrong_imports(source, module) == wrong


def private_imports(source: str, module: str, *, is_package: bool = False) -> list[str]:
    """What a module imports that begins with an underscore and is not of its own room."""
    room = module.split(".")[:2]
    return [
        name
        for name in imported_names(source, module, is_package=is_package)
        if name.split(".")[:2] != room and any(part.startswith("_") for part in name.split("."))
    ]


@pytest.mark.parametrize(
    "path",
    [*MODULES, *SCRIPTS],
    ids=lambda path: ".".join(path.relative_to(ROOT).with_suffix("").parts),
)
def test_nothing_private_of_another_room_is_imported(path: pathlib.Path) -> None:
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    is_package = path.name == "__init__.py"
    if is_package:
        module = module.removesuffix(".__init__")
    assert private_imports(path.read_text(), module, is_package=is_package) == []


@pytest.mark.parametrize(
    ("module", "source", "private"),
    [
        ("jaxrl.search.ars", "from jaxrl.search._mirrored import x", []),
        ("jaxrl.search.ars", "from ._mirrored import x", []),
        ("jaxrl.registry", "from jaxrl.search._mirrored import x", ["jaxrl.search._mirrored.x"]),
        ("jaxrl.registry", "from jaxrl.search import _mirrored", ["jaxrl.search._mirrored"]),
        ("jaxrl.registry", "from jaxrl.search.ars import _x", ["jaxrl.search.ars._x"]),
        ("benchmarks.run", "def f():\n    import jaxrl.search._x", ["jaxrl.search._x"]),
    ],
)
def test_a_private_import_is_noticed(module: str, source: str, private: list[str]) -> None:
    assert private_imports(source, module) == private


def code_of(page: pathlib.Path) -> list[str]:
    """The Python that a page shows: its blocks, or a notebook's cells without their magic."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".md":
        return re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    return [re.sub(r"(?m)^[%!].*$", "", "".join(cell["source"])) for cell in cells]


def used_names(source: str) -> list[str]:
    """What a page takes of ours: what it imports, and `jaxrl.room.name` as far as it is spelt."""
    names = imported_names(source, "page", is_package=False)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            # A module of a room may have the name of a function of its face.
            names += [f"{x.name}.*" for x in node.names if x.name.count(".") > 1]
        parts = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if isinstance(node, ast.Name) and node.id == "jaxrl" and parts:
            names.append(".".join(["jaxrl", *reversed(parts)][:3]))
    return names


def is_public(name: str) -> bool:
    """Whether a name is of the package's front, a room, or of a room's face."""
    parts = name.split(".")[1:]
    if not parts or parts[0] in importlib.import_module("jaxrl").__all__:
        return True
    if parts[0] not in RANKS:
        return False
    room = importlib.import_module(f"jaxrl.{parts[0]}")
    face = getattr(room, "__all__", None) or [x for x in vars(room) if not x.startswith("_")]
    return len(parts) == 1 or (len(parts) == 2 and parts[1] in face)


PAGES = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "notebooks").glob("*.ipynb")]


@pytest.mark.parametrize("page", sorted(PAGES), ids=lambda page: page.name)
def test_pages_take_nothing_deeper_than_a_room(page: pathlib.Path) -> None:
    names = [name for source in code_of(page) for name in used_names(source)]
    assert [name for name in names if not is_public(name)] == []


def test_pages_show_code() -> None:
    assert sum(bool(code_of(page)) for page in PAGES) >= 5


@pytest.mark.parametrize(
    ("source", "public"),
    [
        ("import jaxrl\njaxrl.ppo(env)", True),
        ("from jaxrl import ppo", True),
        ("from jaxrl.search import cem_strategy", True),
        ("import jaxrl\njaxrl.ops.gae(x)", True),
        ("from jaxrl.search.cem import cem_strategy", False),
        ("import jaxrl.search.cem", False),
        ("from jaxrl.search import _mirrored", False),
        ("import jaxrl\njaxrl.ops.returns.gae(x)", False),
        ("import jaxrl\njaxrl.no_such_room", False),
    ],
)
def test_what_is_deeper_than_a_room_is_noticed(source: str, public: bool) -> None:
    assert all(is_public(name) for name in used_names(source)) == public


FACES = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


@pytest.mark.parametrize("room", FACES)
def test_every_room_says_what_it_is_for_and_names_its_face(room: str) -> None:
    module = importlib.import_module(f"jaxrl.{room}")
    first = (module.__doc__ or "").split("\n\n")[0]
    assert first.endswith("."), f"jaxrl/{room}/__init__.py begins with a sentence"
    assert len(first) <= 100, "one line"
    face = module.__all__
    assert face, f"jaxrl/{room}/__init__.py names its face in __all__"
    assert len(set(face)) == len(face)
    assert [name for name in face if not hasattr(module, name)] == []
