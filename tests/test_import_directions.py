"""Imports point upwards: a room may import only from the rooms above it."""

import ast
import pathlib

import pytest

PACKAGE = pathlib.Path(__file__).parent.parent / "jaxrl"

# From the top down. Rooms in one tuple are neighbours: neither may import the other.
ROOMS = [
    ("types",),
    ("keys",),
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
    ("training",),
    ("sweeps",),
    ("runs",),
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
