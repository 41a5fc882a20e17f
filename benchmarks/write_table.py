"""Writes the tables of `benchmarks/README.md` from the files in `benchmarks/results/`.

    python benchmarks/write_table.py

A table stands between `<!-- begin NAME -->` and `<!-- end NAME -->`; nothing else is touched.
"""

import json
import pathlib
import re
from typing import Any

from accelerator_table import table as accelerator_table

HERE = pathlib.Path(__file__).resolve().parent
TITLES = {
    "plain": "ours with `jax.random.permutation`",
    "products": "the update's matrix products alone",
    "rejax": "rejax",
    "stable_baselines3": "Stable-Baselines3",
    "sbx": "SBX",
}


def throughput_tables(files: list[pathlib.Path]) -> str:
    """One table for each algorithm and device that was measured."""
    tables = []
    for file in sorted(files):
        content = json.loads(file.read_text())
        name = described(content["settings"])
        lines = [
            f"**{name}.** "
            + where_and_when(content["machine"], content["results"][0]["ours"]["device"]),
            "",
            "| environments x steps | seeds | beside | ours, steps/s | theirs, steps/s "
            "| ratio (lowest to highest pair) | ours, trace + compile | theirs |",
            "|---|---|---|---|---|---|---|---|",
        ]
        lines += [throughput_line(row) for row in content["results"]]
        tables.append("\n".join([*lines, "", versions(content["results"])]))
    return "\n\n".join(tables)


def described(settings: dict[str, Any]) -> str:
    """The algorithm, with what tells its suites apart."""
    name = f"{settings['algorithm'].upper()} in {settings['environment']}"
    sizes = f"hidden layers of {' and '.join(map(str, settings['hidden_sizes']))}"
    if "buffer_size" not in settings:
        return f"{name}, {sizes}"
    return (
        f"{name}, {sizes}, batches of {settings['batch_size']}, "
        f"a replay of {settings['buffer_size']:,} transitions"
    )


def throughput_line(row: dict[str, Any]) -> str:
    """One contender in one configuration."""
    ours, theirs = row["ours"], row["theirs"]
    return (
        f"| {row['num_envs']:,} x {row['num_steps']} | {row['num_seeds']} | {TITLES[row['peer']]} "
        f"| {ours['steps_per_second']:,.0f} | {theirs['steps_per_second']:,.0f} "
        f"| **{row['ratio']:.2f}** ({min(row['ratios']):.2f} to {max(row['ratios']):.2f}) "
        f"| {build_time(ours)} | {build_time(theirs)} |"
    )


def build_time(side: dict[str, Any]) -> str:
    """Seconds of tracing, lowering and compiling; a dash where nothing is compiled ahead."""
    if side["trace_seconds"] is None:
        return "–"
    return f"{side['trace_seconds']:.2f} + {side['compile_seconds']:.2f} s"


def versions(results: list[dict[str, Any]]) -> str:
    """Which versions the contenders were."""
    found = {"ours": results[0]["ours"]["versions"]}
    for row in results:
        found.setdefault(row["peer"], row["theirs"]["versions"])
    found.pop("plain", None)
    lists = (", ".join(f"{name} {number}" for name, number in v.items()) for v in found.values())
    return f"Versions: {'; '.join(lists)}."


def where_and_when(machine: dict[str, Any], device: str) -> str:
    """The line above a table."""
    return f"{machine['cpu']}, {machine['cores']} cores, device {device}, {machine['date']}."


def learning_table(file: pathlib.Path) -> str:
    """Returns beside the numbers to reach."""
    lines = [
        "| algorithm | environment | steps | seeds | episodes each | mean return (95 % CI) "
        "| to reach | reached | date |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in json.loads(file.read_text())["results"]:
        low, high = row["ci95"]
        lines.append(
            f"| {row['algorithm']} | {row['environment']} | {row['total_steps']:,} "
            f"| {len(row['seed_means'])} | {row['episodes']} "
            f"| {row['mean']:.1f} ({low:.1f} to {high:.1f}) | {to_reach(row)} "
            f"| {'yes' if row['passed'] else 'no'} | {row['machine']['date']} |"
        )
    return "\n".join(lines)


def to_reach(row: dict[str, Any]) -> str:
    """The target, and what of the seeds is judged by it."""
    judged_by = row.get("judged_by", "mean")
    if judged_by == "median":
        return f"{row['target']:g} (the median is {row['median']:.1f})"
    if judged_by == "share":
        return f"{row['target']:g} by 90 % of the seeds ({row['share']:.0%} did)"
    return f"{row['target']:g}"


def finance_table(file: pathlib.Path) -> str:
    """Learned policies in finance beside the optima and the baselines."""
    lines = [
        "| task | steps | seeds | seconds | compared | difference (95 % CI) | to reach | reached |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in json.loads(file.read_text())["results"]:
        for place, check in enumerate(row["checks"]):
            low, high = check["ci95"]
            asked = f"{'surely above ' if check['surely'] else ''}{check['least']:.0%}"
            run = f"{row['task']} | {row['total_steps']:,} | {row['seeds']} | {row['seconds']:,.0f}"
            lines.append(
                f"| {run if place == 0 else ' | | |'} | {check['score']} beside {check['beside']} "
                f"| {check['mean']:+.2%} ({low:+.2%} to {high:+.2%}) | {asked} "
                f"| {'yes' if check['passed'] else 'no'} |"
            )
    return "\n".join(lines)


def population_table(file: pathlib.Path) -> str:
    """Steps per second of a population's episodes."""
    content = json.loads(file.read_text())
    lines = [
        where_and_when(content["machine"], "cpu"),
        "",
        "| environment | candidates x episodes | hidden layers | policies | beside | ours, steps/s "
        "| theirs, steps/s | ratio (lowest to highest pair) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['environment']} | {row['candidates']:,} x {row['episodes']} "
        f"| {', '.join(map(str, row['hidden_sizes'])) or 'none'} | {row['around']} "
        f"| {row['beside']} | {row['ours_steps_per_second']:,.0f} "
        f"| {row['theirs_steps_per_second']:,.0f} | **{row['ratio']:.2f}** "
        f"({min(row['ratios']):.2f} to {max(row['ratios']):.2f}) |"
        for row in content["results"]
    ]
    return "\n".join(lines)


def recurrence_table(file: pathlib.Path) -> str:
    """What a recurrent network costs, beside a feed-forward one."""
    content = json.loads(file.read_text())
    lines = [
        where_and_when(content["machine"], content["device"]),
        "",
        "| environments x steps | with | its steps/s | without, steps/s "
        "| times as long (lowest to highest pair) |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['num_envs']:,} x {row['num_steps']} | {row['variant']} "
        f"| {row['steps_per_second']['gru']:,.0f} | {row['steps_per_second']['none']:,.0f} "
        f"| **{row['ratio']:.2f}** ({min(row['ratios']):.2f} to {max(row['ratios']):.2f}) |"
        for row in content["results"]
    ]
    return "\n".join(lines)


def resets_table(file: pathlib.Path) -> str:
    """Ways of starting again, beside fresh starts in every step."""
    content = json.loads(file.read_text())
    lines = [
        where_and_when(content["machine"], content["device"]),
        "",
        "| what | environments x steps | resets | environments to a start | its steps/s "
        "| every_step, steps/s | times as fast (lowest to highest pair) |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['part']} | {row['num_envs']:,} x {row['num_steps']} | {row['way']} "
        f"| {row['reset_ratio'] or '–'} | {row['steps_per_second'][row['way']]:,.0f} "
        f"| {row['steps_per_second']['every_step']:,.0f} "
        f"| **{row['ratio']:.2f}** ({min(row['ratios']):.2f} to {max(row['ratios']):.2f}) |"
        for row in content["results"]
    ]
    return "\n".join(lines)


def replay_table(file: pathlib.Path) -> str:
    """Replay beside flashbax's, and the memory of many agents with one each."""
    content = json.loads(file.read_text())
    lines = [
        where_and_when(content["machine"], "cpu"),
        "",
        "| replay | transitions | ours, cycles/s | flashbax, cycles/s "
        "| ratio (lowest to highest pair) | ours, bytes each | flashbax, bytes each |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {'prioritised' if row['prioritized'] else 'uniform'} | {row['capacity']:,} "
        f"| {row['ours_cycles_per_second']:,.0f} | {row['theirs_cycles_per_second']:,.0f} "
        f"| **{row['ratio']:.2f}** ({min(row['ratios']):.2f} to {max(row['ratios']):.2f}) "
        f"| {row['ours_bytes']:.0f} | {row['theirs_bytes']:,.0f} |"
        for row in content["results"]
    ]
    lines += [
        "",
        "| DQN agents | transitions each | steps each | all replays | program's temporaries "
        "| peak resident memory |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['agents']} | {row['buffer_size']:,} | {row['steps']:,} "
        f"| {row['replay_mebibytes']:,.0f} MiB | {row['temporary_mebibytes']:,.0f} MiB "
        f"| {row['peak_mebibytes']:,.0f} MiB |"
        for row in content["agents"]
    ]
    return "\n".join(lines)


def memory_table(file: pathlib.Path) -> str:
    """Peak memory against the number of steps."""
    content = json.loads(file.read_text())
    lines = [
        where_and_when(content["machine"], "cpu"),
        "",
        "| algorithm | environment | steps | peak resident memory |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {row['algorithm']} | {row['environment']} | {row['total_steps']:,} "
        f"| {row['peak_mebibytes']:,.0f} MiB |"
        for row in content["results"]
    ]
    return "\n".join(lines)


def replace_between_markers(text: str, name: str, table: str) -> str:
    """Puts a table where its markers are."""
    pattern = re.compile(f"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"README.md has no markers for the {name} table")
    return pattern.sub(lambda found: f"{found[1]}\n{table}\n\n{found[2]}", text)


def main() -> None:
    readme = HERE / "README.md"
    text = readme.read_text()
    results = HERE / "results"
    throughput = list(results.glob("throughput-*.json"))
    if throughput:
        text = replace_between_markers(text, "throughput", throughput_tables(throughput))
    accelerators = sorted(results.glob("accelerator-*.json"))
    if accelerators:
        measured = (accelerator_table(json.loads(file.read_text())) for file in accelerators)
        text = replace_between_markers(text, "accelerator", "\n\n".join(measured))
    tables = {
        "learning": learning_table,
        "finance_learning": finance_table,
        "population": population_table,
        "recurrence": recurrence_table,
        "resets": resets_table,
        "replay": replay_table,
        "memory": memory_table,
    }
    for name, table in tables.items():
        file = results / f"{name}.json"
        if file.is_file():
            text = replace_between_markers(text, name, table(file))
    readme.write_text(text)


if __name__ == "__main__":
    main()
