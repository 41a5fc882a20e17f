"""No function of the library is longer than a screen."""

import ast
import pathlib

PACKAGE = pathlib.Path(__file__).parent.parent / "jaxrl"
LONGEST = 60


def function_lengths(source: str) -> dict[str, int]:
    """Lines of each function, from its first decorator to its end, docstring included."""
    lengths = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            lengths[f"{node.name}:{node.lineno}"] = node.end_lineno - first + 1
    return lengths


def test_no_function_is_too_long() -> None:
    too_long = {
        f"{path.relative_to(PACKAGE.parent)}:{name}": length
        for path in sorted(PACKAGE.rglob("*.py"))
        for name, length in function_lengths(path.read_text()).items()
        if length > LONGEST
    }
    assert too_long == {}


def test_lengths_count_decorators_and_nested_functions() -> None:
    source = "@first\n@second\ndef outer():\n    def inner():\n        return 1\n    return inner\n"
    assert function_lengths(source) == {"outer:3": 6, "inner:4": 2}
