"""The table of mutants fits the library: each has its place, and the tests that it names exist."""

import ast
import pathlib

from mutants.table import MUTANTS, Mutant, stale

ROOT = pathlib.Path(__file__).parent.parent


def test_every_snippet_is_where_the_table_says():
    assert stale(ROOT, MUTANTS) == []


def test_a_snippet_that_is_gone_is_named():
    gone = Mutant("gone", "jaxrl/settings.py", "no such line", "", ())
    often = Mutant("often", "jaxrl/settings.py", "config", "", ())
    nowhere = Mutant("nowhere", "jaxrl/no_such_file.py", "x", "", ())
    problems = stale(ROOT, [gone, often, nowhere])
    assert [problem.partition(":")[0] for problem in problems] == ["gone", "often", "nowhere"]
    assert "0 times" in problems[0]


def test_mutants_differ_from_the_library_and_have_names_of_their_own():
    names = [mutant.name for mutant in MUTANTS]
    assert len(set(names)) == len(names) >= 70
    assert all(mutant.original != mutant.replacement for mutant in MUTANTS)


def test_every_mutant_is_still_python():
    for mutant in MUTANTS:
        source = (ROOT / mutant.path).read_text()
        ast.parse(source.replace(mutant.original, mutant.replacement), mutant.name)


def functions_of(path):
    """Names of the test functions of a file, with their class before them."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        inner = node.body if isinstance(node, ast.ClassDef) else []
        names |= {f"{node.name}::{x.name}" for x in inner if isinstance(x, ast.FunctionDef)}
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
    return names


def test_the_tests_that_are_named_exist():
    named = {test for mutant in MUTANTS for test in mutant.tests}
    assert all(mutant.tests for mutant in MUTANTS)
    files = {
        file: functions_of(ROOT / file) for file in {test.partition("::")[0] for test in named}
    }
    missing = [
        test
        for test in named
        if "::" in test
        and test.partition("::")[2].partition("[")[0] not in files[test.partition("::")[0]]
    ]
    assert missing == []
