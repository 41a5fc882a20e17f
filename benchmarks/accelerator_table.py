"""The tables of what `accelerator.py` measured on one device, in Markdown."""

from typing import Any

MEBIBYTE = 2**20


def table(content: dict[str, Any]) -> str:
    """All that was measured, from the file's content."""
    parts = [heading(content), rates(content), training(content)]
    parts += [launches(content), costliest(content), forms(content), checks(content)]
    return "\n\n".join(part for part in parts if part)


def heading(content: dict[str, Any]) -> str:
    """The device, the versions and the day."""
    found: dict[str, str] = {}
    for row in content["rows"]:
        for name in (row["worker"], row["beside"]):
            found |= row.get(name, {}).get("versions", {}) if name not in {None, "rejax"} else {}
    listed = ", ".join(f"{name} {number}" for name, number in found.items())
    machine = content["machine"]
    left = [row["label"] for row in content["rows"] if "left_out" in row or "failed" in row]
    text = f"**{content['device'] or 'no device'}**, {machine['cores']} cores, {machine['date']}. "
    text += f"Versions: {listed or 'none'}."
    if content["arguments"]["tiny"]:
        text = f"A dry run at toy sizes, whose figures mean nothing. {text}"
    return f"{text} Not measured: {'; '.join(left)}." if left else text


def ceilings(content: dict[str, Any]) -> dict[str, float]:
    """The device's own rates by kind: bytes, or operations, per second."""
    return {
        row["settings"]["kind"]: row["ceilings"]["steps_per_second"]
        for row in content["rows"]
        if row["worker"] == "ceilings" and "ceilings" in row
    }


def rates(content: dict[str, Any]) -> str:
    """One line with the device's own rates."""
    found = ceilings(content)
    named = [f"{found[kind] / 1e12:.2f} TFLOP/s in {kind}" for kind in found if kind != "copy"]
    if "copy" in found:
        named.insert(0, f"copy {found['copy'] / 1e9:,.0f} GB/s (read and written)")
    return f"Ceilings as measured: {', '.join(named)}." if named else ""


def training(content: dict[str, Any]) -> str:
    """The rows that train."""
    rows = [row for row in content["rows"] if "ours" in row and "profile" not in row]
    if not rows:
        return ""
    lines = [
        "| program | agents x steps | trace + compile | run | environment steps/s | updates/s "
        "| beside rejax | memory | launches an iteration | share of the roofline |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *(training_line(row, ceilings(content)) for row in rows)])


def training_line(row: dict[str, Any], found: dict[str, float]) -> str:
    """One program."""
    ours, settings = row["ours"], row["settings"]
    costs = ours.get("costs", {})
    seconds = f"{ours['seconds']:.3g} s"
    if row["of_steps"]:
        whole = ours["seconds"] * row["of_steps"] / settings["total_steps"]
        seconds += f" ({whole:.3g} s for {row['of_steps']:,}, extrapolated)"
    updates = f"{row['updates'] / ours['seconds']:,.0f}" if row["updates"] else "–"
    count = costs.get("launches_per_iteration")
    share = roofline_share(row, found)
    return (
        f"| {row['label']} | {settings['num_seeds']:,} x {settings['total_steps']:,} "
        f"| {ours['trace_seconds']:.1f} + {ours['compile_seconds']:.1f} s | {seconds} "
        f"| {ours['steps_per_second']:,.0f} | {updates} | {beside(row)} | {memories(row)} "
        f"| {'–' if count is None else f'{count:,}'} "
        f"| {'–' if share is None else f'{share:.2%}'} |"
    )


def beside(row: dict[str, Any]) -> str:
    """The ratio to the peer, with its range."""
    if not row.get("ratios"):
        return "–"
    ratios = sorted(row["ratios"])
    return f"**{ratios[len(ratios) // 2]:.2f}** ({ratios[0]:.2f} to {ratios[-1]:.2f})"


def memories(row: dict[str, Any]) -> str:
    """Device memory of ours, and of the peer where there is one."""
    sizes = [memory(row[name].get("costs", {})) for name in ("ours", row["beside"]) if name in row]
    return ", theirs ".join(sizes)


def memory(costs: dict[str, Any]) -> str:
    """The most that the process has held on the device, or what the compiler says it needs."""
    sizes = costs.get("memory", {})
    size = sizes.get("peak") or sizes.get("program")
    return "–" if size is None else f"{size / MEBIBYTE:,.0f} MiB"


def roofline_share(row: dict[str, Any], found: dict[str, float]) -> float | None:
    """The least time that an iteration could take on the device, beside what it takes.

    The larger of its bytes over the copy's rate and its operations over the product's rate.
    """
    costs, settings = row["ours"].get("costs", {}), row["settings"]
    kind = settings.get("extra", {}).get("compute_dtype", "float32")
    moved, operations = (costs.get(f"{name}_per_iteration") for name in ("bytes", "operations"))
    if moved is None or operations is None or not {"copy", kind} <= found.keys():
        return None
    least = max(moved / found["copy"], operations / found[kind])
    return least * row["iterations"] / row["ours"]["seconds"]


def launches(content: dict[str, Any]) -> str:
    """Kernels of an iteration, of a step of the environments and of a minibatch."""
    rows = [row for row in content["rows"] if "profile" in row]
    if not rows:
        return ""
    lines = [
        "| traced | iterations | launches seen | an iteration, by the program "
        "| a step of the environments | a minibatch | device busy |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        profile, costs, settings = row["profile"], row["ours"]["costs"], row["settings"]
        of_step = launches_of_loop(costs, settings["num_steps"])
        of_minibatch = launches_of_loop(costs, settings.get("num_minibatches", 1))
        busy = profile["busy_seconds"] / profile["seconds"]
        lines.append(
            f"| {row['label']} | {row['iterations']} | {profile['launches']:,} "
            f"| {costs['launches_per_iteration'] or '–'} | {of_step or '–'} "
            f"| {of_minibatch or '–'} | {busy:.0%} |"
        )
    return "\n".join(lines)


def launches_of_loop(costs: dict[str, Any], trips: int) -> int:
    """Launches in one turn of the loops that run so often; 0 where there is none."""
    return sum(count for length, count in costs["loops_of_iteration"] if length == trips > 1)


def costliest(content: dict[str, Any]) -> str:
    """The kernels that take the most time."""
    parts = []
    for row in content["rows"]:
        kernels = row.get("profile", {}).get("costliest", [])
        total = row.get("profile", {}).get("busy_seconds") or 1.0
        named = [
            f"`{kernel['name']}` {kernel['seconds'] / total:.0%} ({kernel['launches']:,})"
            for kernel in kernels
        ]
        if named:
            parts.append(f"Costliest of {row['label']} (launches): {', '.join(named)}.")
    return "\n\n".join(parts)


def forms(content: dict[str, Any]) -> str:
    """What was written for the CPU, beside its plain form."""
    rows = [row for row in content["rows"] if row["worker"] == "forms" and row.get("ratios")]
    if not rows:
        return ""
    lines = ["| form | times as fast as the plain one |", "|---|---|"]
    return "\n".join([*lines, *(f"| {row['label']} | {beside(row)} |" for row in rows)])


def checks(content: dict[str, Any]) -> str:
    """What was checked on the device."""
    if not content["checks"]:
        return ""
    lines = ["| check | outcome |", "|---|---|"]
    lines += [
        f"| {check['check']} | {'passed' if check['passed'] else 'FAILED'}: {check['detail']} |"
        for check in content["checks"]
    ]
    return "\n".join(lines)
