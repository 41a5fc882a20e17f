"""What one iteration of a compiled training program costs: operations, bytes, launches.

XLA's own `cost_analysis` counts the body of a loop once, however often it runs. Here each body
counts as often as its loop says that it runs, which the compiler writes into the program's text.
"""

import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

BITS = {"pred": 8, "bf16": 16, "s4": 4, "u4": 4} | {
    f"{kind}{bits}": bits for kind in "fsuc" for bits in (8, 16, 32, 64, 128)
}
# They launch nothing: other names for what is in memory already, and constants.
FREE = {
    *("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all"),
    *("partition-id", "replica-id", "opt-barrier", "copy-done", "async-done", "fusion-done"),
}
# They read no more of their first operand than they write.
PARTIAL_READS = {"slice", "dynamic-slice", "gather"}
PARTIAL_WRITES = {"dynamic-update-slice": 1, "scatter": 2}
LOOPS = {"while", "call", "conditional", "async-start"}


class Instruction(NamedTuple):
    """One instruction of a compiled program.

    Attributes:
        opcode: what it does.
        size: bytes of its result.
        operands: names of instructions of the same computation.
        called: names of computations, a loop's body first.
        trips: how often a loop's body runs; None where the compiler does not know.
        is_root: its result is that of the computation.
    """

    opcode: str
    size: float
    operands: tuple[str, ...]
    called: tuple[str, ...]
    trips: int | None
    is_root: bool


Computation = dict[str, Instruction]


class Cost(NamedTuple):
    """What running a computation once costs.

    Attributes:
        bytes: read and written, by each instruction that is launched.
        launches: how many are.
        loops: of each loop in it: how often its body runs, and its launches each time.
        is_whole: the length of every loop is known.
    """

    bytes: float
    launches: int
    loops: tuple[tuple[int | None, int], ...]
    is_whole: bool


def iteration_cost(text: str) -> Cost:
    """The cost of one turn of a program's outermost loop.

    Args:
        text: of a compiled program, as `compiled.as_text()` gives it.

    Raises:
        ValueError: the program has no loop.
    """
    computations, entry = parse(text)
    bodies = [x.called[0] for x in _reached(computations, entry) if x.opcode == "while"]
    if not bodies:
        raise ValueError("the program has no loop")
    return max((cost_of(computations, body) for body in bodies), key=lambda cost: cost.launches)


def program_cost(text: str) -> Cost:
    """The cost of a whole program; a loop whose length is not known counts once."""
    computations, entry = parse(text)
    return cost_of(computations, entry)


def parse(text: str) -> tuple[dict[str, Computation], str]:
    """The computations of a program by name, and the name of the one that it starts with."""
    computations: dict[str, Computation] = {}
    entry = ""
    current: Computation = {}
    for line in text.splitlines():
        heading = re.match(r"(ENTRY )?%?([\w.\-]+) \(.*\) -> .*\{$", line)
        if heading:
            current = computations.setdefault(heading[2], {})
            entry = heading[2] if heading[1] else entry
            continue
        found = re.match(r"\s+(ROOT )?%?([\w.\-]+) = ", line)
        if found:
            current[found[2]] = parse_instruction(line[found.end() :], is_root=bool(found[1]))
    return computations, entry


def parse_instruction(text: str, *, is_root: bool) -> Instruction:
    """An instruction from what stands right of its name's equals sign."""
    end = _closing(text, 0) + 1 if text.startswith("(") else text.index(" ")
    opening = text.index("(", end)
    closing = _closing(text, opening)
    attributes = text[closing + 1 :]
    called = re.findall(r"(?:body|calls|to_apply|\w+_computation)=%?([\w.\-]+)", attributes)
    branches = re.search(r"branch_computations=\{([^}]*)\}", attributes)
    if branches:
        called += re.findall(r"[\w.\-]+", branches[1])
    trips = re.search(r'"known_trip_count":\{"n":"(\d+)"', attributes)
    return Instruction(
        opcode=text[end:opening].strip(),
        size=size_of(text[:end]),
        operands=tuple(re.findall(r"%([\w.\-]+)", text[opening:closing])),
        called=tuple(called),
        trips=int(trips[1]) if trips else None,
        is_root=is_root,
    )


def _closing(text: str, opening: int) -> int:
    """Where the parenthesis that opens there is closed."""
    depth = 0
    for place in range(opening, len(text)):
        depth += (text[place] == "(") - (text[place] == ")")
        if depth == 0:
            return place
    raise ValueError(f"a parenthesis of {text!r} is not closed")


def size_of(shape: str) -> float:
    """Bytes of a shape such as `f32[64,3]{1,0}`, or of all the shapes of a tuple."""
    sizes = re.findall(r"\b(\w+)\[([\d,]*)\]", shape)
    return sum(
        BITS.get(kind, 0) / 8 * math.prod(int(n) for n in numbers.split(",") if n)
        for kind, numbers in sizes
    )


def cost_of(computations: dict[str, Computation], name: str) -> Cost:
    """The cost of a computation, with the loops and calls in it."""
    moved, launches, is_whole = 0.0, 0, True
    loops: list[tuple[int | None, int]] = []
    for instruction in computations[name].values():
        if instruction.opcode in FREE:
            continue
        if instruction.opcode not in LOOPS or not instruction.called:
            moved += _bytes(computations, name, instruction)
            launches += 1
            continue
        # Of a condition's branches the dearest; all else calls one computation.
        called = (
            instruction.called if instruction.opcode == "conditional" else instruction.called[:1]
        )
        inner = max((cost_of(computations, each) for each in called), key=lambda cost: cost.bytes)
        times = 1
        if instruction.opcode == "while":
            times = instruction.trips or 1
            is_whole &= instruction.trips is not None
            loops.append((instruction.trips, inner.launches))
        moved += times * inner.bytes
        launches += times * inner.launches
        loops += inner.loops
        is_whole &= inner.is_whole
    return Cost(moved, launches, tuple(loops), is_whole)


def _reached(computations: dict[str, Computation], name: str) -> Iterator[Instruction]:
    """The instructions of a computation and of what it calls, but for bodies of loops."""
    for instruction in computations[name].values():
        yield instruction
        if instruction.opcode in LOOPS - {"while"}:
            for called in instruction.called:
                yield from _reached(computations, called)


def _bytes(computations: dict[str, Computation], name: str, instruction: Instruction) -> float:
    """Bytes that one instruction reads and writes."""
    sizes = [computations[name][x].size for x in instruction.operands if x in computations[name]]
    if instruction.opcode == "fusion":
        return _fusion_bytes(computations[instruction.called[0]], sizes)
    return _touched(instruction, sizes)


def _touched(instruction: Instruction, sizes: list[float]) -> float:
    """Bytes that a plain instruction reads and writes, its operands having these sizes."""
    if instruction.opcode in PARTIAL_READS:
        return 2 * instruction.size + sum(sizes[1:])
    if instruction.opcode in PARTIAL_WRITES:
        return 2 * sizes[PARTIAL_WRITES[instruction.opcode]]
    return instruction.size + sum(sizes)


def _fusion_bytes(fused: Computation, sizes: list[float]) -> float:
    """Bytes of a fusion: of an operand that is only sliced, its slices; of an update, no more."""
    users: dict[str, list[Instruction]] = {}
    for instruction in fused.values():
        for operand in instruction.operands:
            users.setdefault(operand, []).append(instruction)
    read = 0.0
    parameters = [name for name, x in fused.items() if x.opcode == "parameter"]
    for name, size in zip(parameters, sizes, strict=False):
        reads = [_read(fused, name, user) for user in users.get(name, [])]
        read += min(size, sum(reads, 0.0))
    root = next(x for x in fused.values() if x.is_root)
    roots = [fused[name] for name in root.operands] if root.opcode == "tuple" else [root]
    return read + sum(_written(fused, x) for x in roots)


def _read(fused: Computation, name: str, user: Instruction) -> float:
    """Bytes that a user within a fusion needs of an operand."""
    if user.opcode in PARTIAL_READS and user.operands[0] == name:
        return user.size
    if user.opcode in PARTIAL_WRITES and user.operands[0] == name:
        return 0.0
    return fused[name].size


def _written(fused: Computation, result: Instruction) -> float:
    """Bytes that a fusion writes for one of its results."""
    while result.opcode in {"bitcast", "copy"} and result.operands[0] in fused:
        inner = fused[result.operands[0]]
        if inner.opcode not in {*PARTIAL_WRITES, "bitcast"}:
            break
        result = inner
    if result.opcode in PARTIAL_WRITES:
        return fused[result.operands[PARTIAL_WRITES[result.opcode]]].size
    return result.size


def iteration_operations(jaxpr: Any) -> float | None:
    """Multiplications and additions of the matrix products of one turn of the outermost loop.

    Args:
        jaxpr: of the training program, as it is before the compiler sees it.

    Returns:
        Their number; None where the length of a loop within is not known.
    """
    bodies = [body for kind, body in _loops(jaxpr) if kind == "while"]
    counts = [operations(body) for body in bodies]
    return None if not counts or None in counts else max(filter(None, counts), default=0.0)


def operations(jaxpr: Any) -> float | None:
    """Multiplications and additions of the matrix products of a program; None: cannot be known."""
    total = 0.0
    for equation in jaxpr.eqns:
        kind = equation.primitive.name
        if kind in {"dot_general", "conv_general_dilated"}:
            total += _product(equation)
        inner = [operations(each) for each in _inner(equation)]
        if kind == "while" and any(count != 0 for count in inner):
            return None
        if None in inner:
            return None
        known = [count for count in inner if count is not None]
        if known:
            once = max(known) if kind == "cond" else sum(known)
            total += once * equation.params.get("length", 1)
    return total


def _product(equation: Any) -> float:
    """Multiplications and additions of one product."""
    left, right = (x.aval.shape for x in equation.invars[:2])
    out = math.prod(equation.outvars[0].aval.shape)
    if equation.primitive.name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        return 2.0 * out * math.prod(left[axis] for axis in contracted)
    features = equation.params["dimension_numbers"].rhs_spec[0]
    return 2.0 * out * math.prod(right) / right[features]


def _inner(equation: Any) -> list[Any]:
    """The programs within an equation."""
    values = [
        each
        for value in equation.params.values()
        for each in (value if isinstance(value, tuple | list) else (value,))
    ]
    closed = [value.jaxpr if hasattr(value, "jaxpr") else value for value in values]
    return [value for value in closed if hasattr(value, "eqns")]


def _loops(jaxpr: Any) -> Iterator[tuple[str, Any]]:
    """The outermost loops of a program, within its calls too."""
    for equation in jaxpr.eqns:
        if equation.primitive.name in {"while", "scan"}:
            body = equation.params.get("body_jaxpr") or equation.params["jaxpr"]
            yield equation.primitive.name, body.jaxpr
        else:
            for inner in _inner(equation):
                yield from _loops(inner)
