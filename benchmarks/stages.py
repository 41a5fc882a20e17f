"""What `accelerator.py` measures, stage by stage, the most valuable first.

A row's settings are what the workers take (`suites.py`), and in `extra` what only ours has.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from suites import SUITES

PPO = SUITES["ppo"].settings
WIDE = {"hidden_sizes": [256, 256]}
TINY_HIDDEN = 4


class Row(NamedTuple):
    """One program that is measured.

    Attributes:
        label: what a reader calls it.
        worker: the contender that runs it.
        settings: of the worker, complete.
        beside: a peer that takes turns with it at the same settings.
        profiled: a run is traced as well, and says which kernels it launched.
        of_steps: environment steps whose time is extrapolated from this row's; None: its own.
    """

    label: str
    worker: str
    settings: dict[str, Any]
    beside: str | None = None
    profiled: bool = False
    of_steps: int | None = None


class Stage(NamedTuple):
    """Rows that are measured together.

    Attributes:
        name: for the command line.
        rows: compiled side by side, run one after the other.
    """

    name: str
    rows: tuple[Row, ...]


def counted(agents: int) -> str:
    """How many agents, in words that a table has room for."""
    return f"{agents:,} agent{'s' * (agents > 1)}"


def iterations_of(settings: dict[str, Any]) -> int:
    """Iterations of each agent of a row that trains."""
    steps = settings["total_steps"] - settings.get("random_steps", 0)
    return max(1, steps // (settings["num_envs"] * settings["num_steps"]))


def updates_of(settings: dict[str, Any]) -> int | None:
    """Gradient steps of all agents of a row together; None: a search takes none."""
    extra = settings.get("extra", {})
    if settings["algorithm"] in {"cem", "openes"}:
        return None
    of_iteration = 1
    for name in ("num_epochs", "num_minibatches"):
        of_iteration *= settings.get(name, extra.get(name, 1))
    return iterations_of(settings) * of_iteration * settings["num_seeds"]


def stages() -> tuple[Stage, ...]:
    """All of them, at the sizes that suit one large GPU."""
    return (
        Stage("ceilings", ceilings(size=8_192, length=2**30)),
        Stage("ppo", tuple(ppo(*size) for size in PPO_SIZES)),
        Stage("rejax", tuple(beside_rejax(agents) for agents in (1, 64, 512))),
        Stage("kernels", kernels()),
        Stage("replay", replay()),
        Stage("minatar", minatar()),
        Stage("precision", precision()),
        Stage("population", population()),
        Stage("forms", forms()),
    )


def on_the_cpu() -> tuple[Stage, ...]:
    """Those that a CPU is done with in minutes; its other figures are those of `throughput.py`."""
    sizes = ((4, 128, 8, 100 * 4 * 128), *(size for size in PPO_SIZES if size[0] == 64))
    return (
        Stage("ceilings", ceilings(size=1_024, length=2**26)),
        Stage("ppo", tuple(ppo(*size) for size in sizes)),
        Stage("rejax", (beside_rejax(1),)),
        Stage("kernels", kernels()),
        Stage("replay", replay(((1, 2_000), (4, 1_000)))),
        Stage("minatar", minatar(num_envs=64)),
        Stage("precision", precision(num_envs=64)),
        Stage("population", population()),
        Stage("forms", forms(agents=4)),
    )


# Environments, steps between two updates, agents, environment steps of each agent.
PPO_SIZES = (
    (4, 128, 2_048, 500_000),
    (64, 128, 1, 64 * 64 * 128),
    (1_024, 128, 1, 64 * 1_024 * 128),
    (8_192, 128, 1, 16 * 8_192 * 128),
)


def ppo(num_envs: int, num_steps: int, agents: int, total_steps: int) -> Row:
    """PPO in CartPole, as PureJaxRL's figures have it."""
    sizes = {"num_envs": num_envs, "num_steps": num_steps, "num_seeds": agents}
    return Row(
        f"PPO CartPole, {agents:,} x {num_envs:,} environments",
        "ours",
        PPO | sizes | {"total_steps": total_steps},
    )


def beside_rejax(agents: int) -> Row:
    """PPO at equal settings."""
    row = ppo(4, 128, agents, 192 * 4 * 128)
    return row._replace(beside="rejax")


def ceilings(*, size: int, length: int) -> tuple[Row, ...]:
    """The device's own rates, for the rooflines: square matrices, and bytes to copy."""
    products = [
        Row(f"product in {kind}", "ceilings", {"kind": kind, "size": size})
        for kind in ("float32", "bfloat16")
    ]
    return (Row("copy", "ceilings", {"kind": "copy", "size": length}), *products)


def kernels() -> tuple[Row, ...]:
    """Short runs that are traced; epochs, minibatches and steps have different numbers."""
    sizes = {"num_envs": 64, "num_steps": 128, "num_seeds": 1, "total_steps": 4 * 64 * 128}
    of_ppo = PPO | sizes | {"num_epochs": 3, "num_minibatches": 8}
    rows = [Row("PPO CartPole, 64 environments, traced", "ours", of_ppo, profiled=True)]
    for name in ("dqn", "sac"):
        settings = SUITES[name].settings | {"num_envs": 1, "num_steps": 1, "num_seeds": 1}
        settings |= {"total_steps": 300}
        label = f"{name.upper()} {settings['environment']}, traced"
        rows.append(Row(label, "ours", settings, profiled=True))
    return tuple(rows)


def replay(sizes: Sequence[tuple[int, int]] = ((1, 4_000), (256, 1_500))) -> tuple[Row, ...]:
    """The algorithms that replay, alone and many of them: agents, and the steps of each."""
    rows = []
    for agents, steps in sizes:
        for name in ("dqn", "sac", "td3"):
            own = {"num_envs": 1, "num_steps": 1, "num_seeds": agents, "total_steps": steps}
            settings = SUITES[name].settings | own
            label = f"{name.upper()} {settings['environment']}, {counted(agents)}"
            rows.append(Row(label, "ours", settings, beside="rejax"))
    return tuple(rows)


def minatar(num_envs: int = 2_048) -> tuple[Row, ...]:
    """20 million steps of MinAtar, from 8 iterations."""
    rows = []
    for environment in ("Breakout-MinAtar", "Asterix-MinAtar"):
        sizes = {"num_envs": num_envs, "num_steps": 128, "num_seeds": 1}
        sizes |= {"environment": environment, "total_steps": 8 * num_envs * 128}
        own = {"algorithm": "pqn", "extra": {"num_epochs": 2, "num_minibatches": 32}}
        for settings in (PPO | sizes, sizes | own):
            name = settings["algorithm"].upper()
            label = f"{name} {environment}, {num_envs:,} environments"
            rows.append(Row(label, "ours", settings, of_steps=20_000_000))
    return tuple(rows)


def precision(num_envs: int = 1_024) -> tuple[Row, ...]:
    """Types of numbers, widths of layers and kinds of keys."""
    rows = []
    base = ppo(num_envs, 128, 1, 16 * num_envs * 128).settings
    for widths in ({}, WIDE):
        for dtype in ("float32", "bfloat16"):
            settings = base | widths | {"extra": {"compute_dtype": dtype}}
            width = settings["hidden_sizes"][0]
            rows.append(Row(f"PPO CartPole, layers of {width}, {dtype}", "ours", settings))
    rows.append(Row("PPO CartPole, layers of 64, rbg keys", "ours", base | {"keys": "rbg"}))
    return tuple(rows)


def population() -> tuple[Row, ...]:
    """Searches whose candidates play side by side."""
    sizes = {"num_envs": 1_024, "num_steps": 500, "num_seeds": 1, "hidden_sizes": [64, 64]}
    sizes |= {"environment": "CartPole-v1", "total_steps": 2_000_000}
    return tuple(
        Row(f"{name} CartPole, 1,024 candidates", "ours", sizes | {"algorithm": name.lower()})
        for name in ("CEM", "OpenES")
    )


def forms(agents: int = 256) -> tuple[Row, ...]:
    """What was written for the CPU, beside its plain form; the rates are repetitions per second."""
    return tuple(
        Row(
            f"{form}, {counted(number)}",
            "forms",
            {"form": form, "num_seeds": number},
            beside="plain_forms",
        )
        for form in FORMS
        for number in (1, agents)
    )


FORMS = ("shuffle", "categorical", "orthogonal", "kernel", "critics", "sum_tree")


def tiny(all_stages: Sequence[Stage]) -> tuple[Stage, ...]:
    """The same stages at sizes that a test has time for; rows that become equal are left out."""
    shrunk = []
    for stage in all_stages:
        rows: list[Row] = []
        for row in stage.rows:
            settings = tiny_settings(row.settings)
            if all(settings != other.settings for other in rows):
                rows.append(row._replace(settings=settings))
        shrunk.append(stage._replace(rows=tuple(rows)))
    return tuple(shrunk)


def tiny_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """The same settings at the smallest sizes, with two agents where there were more."""
    least = {"num_envs": 4, "num_steps": 4, "size": 256, "buffer_size": 64, "batch_size": 4}
    least |= {"num_seeds": 2, "random_steps": 8, "num_minibatches": 2, "num_epochs": 2}
    small = {name: min(value, least.get(name, value)) for name, value in numbers(settings).items()}
    changed = settings | small
    if "extra" in settings:
        changed["extra"] = settings["extra"] | tiny_settings(numbers(settings["extra"]))
    if "hidden_sizes" in settings:
        changed["hidden_sizes"] = [TINY_HIDDEN * size // 64 for size in settings["hidden_sizes"]]
        # rejax's TD3 and DQN have one size.
        if settings["algorithm"] in {"td3", "dqn"}:
            changed["hidden_sizes"] = settings["hidden_sizes"]
    if "total_steps" in settings:
        batch = changed["num_envs"] * changed["num_steps"]
        changed["total_steps"] = changed.get("random_steps", 0) + 2 * batch
    return changed


def numbers(settings: dict[str, Any]) -> dict[str, int]:
    """The whole numbers among the settings."""
    return {name: value for name, value in settings.items() if type(value) is int}
