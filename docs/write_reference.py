"""Writes docs/reference.md: every metric, and per algorithm its metrics and its settings.

python docs/write_reference.py
"""

import dataclasses
import pathlib
from typing import Any

import jax

import jaxrl
from jaxrl import registry
from jaxrl.cli.settings_flags import field_meanings
from jaxrl.settings import describe_needs

PAGE = pathlib.Path(__file__).parent / "reference.md"

METRICS = {
    "steps": "environment steps taken since the run's start, all environments together",
    "episodes": "episodes that ended in this iteration",
    "episode_return": "mean undiscounted return of those episodes, of the task's own rewards",
    "episode_length": "their mean length, in environment steps",
    "policy_loss": "loss of the policy alone, without value and entropy terms",
    "actor_loss": "loss of the actor at its last step",
    "value_loss": "loss of the value function or of the critics",
    "entropy": "mean entropy of the policy's distributions, in nats",
    "explained_variance": "1 - Var(target - value) / Var(target); 1 is perfect, 0 a constant",
    "q_value": "mean value of the actions that were learnt from",
    "gradient_norm": "Euclidean norm of the gradient before it is clipped",
    "learning_rate": "step size of the optimiser in this iteration",
    "approximate_kl": "mean of (r - 1) - log r, an estimate of KL(old || new) in nats",
    "kl_divergence": "mean exact KL(old || new) of the accepted step, in nats",
    "clip_fraction": "share of the samples whose probability ratio was beyond the clip range",
    "clip_epsilon": "clip range of the probability ratio in this iteration",
    "step_accepted": "1 where the line search found a step, 0 where the policy stayed",
    "line_search_trials": "steps that the line search tried",
    "staleness": "mean number of others' gradients between a worker's pull and its own gradient",
    "temperature": "worth of a nat of entropy; of simulated annealing, its temperature",
    "epsilon": "probability of a random action",
    "noise_scale": "standard deviation of the search's noise on the parameters",
    "action_deviation": "deviation that the parameter noise makes in the actions",
    "parameter_noise": "standard deviation of the noise on the actor's parameters",
    "best_return": "mean return of the best candidate of the iteration",
    "best_fitness": "mean fitness of the best candidate so far",
    "parameter_norm": "Euclidean norm of the search's parameters",
    "update_norm": "Euclidean norm of their last change",
    "observations_left_out": "observations that were not finite, left out of the moments",
    "rewards_left_out": "rewards that were not finite, left out of the moments",
}
# Settings and tasks that bring out every metric an algorithm has.
TASKS = ("CartPole-v1", "Pendulum-v1")
VARIANTS: tuple[dict[str, Any], ...] = (
    {},
    {"normalize_observations": True, "normalize_rewards": True},
    {"normalize_observations": True},
    {"noise": "parameter"},
)


def metrics_of(entry: registry.Entry) -> list[str]:
    """The metrics that an algorithm reports under some setting, in the order of the page."""
    fields = {field.name for field in dataclasses.fields(entry.settings)}
    found: set[str] = set()
    for task in TASKS:
        for variant in VARIANTS:
            if variant.keys() <= fields:
                try:
                    algorithm = entry.build(jaxrl.make_env(task), entry.settings(**variant))
                except ValueError:
                    # The algorithm does not take the task's actions.
                    continue
                key = jax.eval_shape(jax.random.key, 0)
                state = jax.eval_shape(algorithm.init, key)
                found |= jax.eval_shape(algorithm.step, key, state)[1].keys()
    unknown = found - METRICS.keys()
    if unknown:
        raise ValueError(f"{entry.name} has metrics without a meaning here: {sorted(unknown)}")
    return [name for name in METRICS if name in found]


def settings_of(entry: registry.Entry) -> list[str]:
    """One row of a table for each setting."""
    meanings = field_meanings(entry.settings)
    rows = ["| setting | default | meaning |", "|---|---|---|"]
    for field in dataclasses.fields(entry.settings):
        meaning = _cell(f"{meanings[field.name]} {describe_needs(field)}")
        kind = "" if field.metadata["static"] else " *"
        rows.append(f"| `{field.name}`{kind} | `{field.default!r}` | {meaning} |")
    return rows


def _cell(text: str) -> str:
    """Text on one line, in which no bar ends a cell."""
    return " ".join(text.split()).replace("|", "\\|")


def metrics_section() -> list[str]:
    """Every metric, its meaning and the algorithms that report it."""
    lines = [
        "## Metrics",
        "",
        "One row per iteration. Means over an iteration; nan where there is nothing to report.",
        "",
        "| metric | meaning | of |",
        "|---|---|---|",
    ]
    entries = [registry.get(name) for name in registry.names()]
    has = {entry.name: metrics_of(entry) for entry in entries}
    for metric, meaning in METRICS.items():
        owners = [name for name, metrics in has.items() if metric in metrics]
        of = "all" if len(owners) == len(entries) else ", ".join(owners)
        lines.append(f"| `{metric}` | {_cell(meaning)} | {of} |")
    return lines


def settings_section() -> list[str]:
    """Every setting of every algorithm, with its default and its meaning."""
    lines = [
        "## Settings",
        "",
        "A setting with * is a float: it may be traced, so that one compiled program serves all of",
        "its values, and may differ between the members of a run. The others shape the program.",
    ]
    for entry in map(registry.get, registry.names()):
        lines += ["", f"### {entry.name}", "", entry.description, "", *settings_of(entry)]
    return lines


def page() -> str:
    """The whole page."""
    head = [
        "# Metrics and settings",
        "",
        "Written by `python docs/write_reference.py` from the code; a test compares.",
    ]
    lines = [*head, "", *metrics_section(), "", *settings_section()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
