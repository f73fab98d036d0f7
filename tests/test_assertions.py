"""The tests themselves: each can fail by an assertion of its own or of a helper."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).parent
CHECKS = {"raises", "warns", "fail"}


def functions(path: Path) -> Iterator[ast.FunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            yield node


def called(function: ast.FunctionDef) -> set[str]:
    """The bare names that a function calls; helpers of tests are called so, and not as attributes."""
    return {
        node.func.id for node in ast.walk(function) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }


def asserts(function: ast.FunctionDef) -> bool:
    """Whether there is an assertion in the function itself."""
    nodes = list(ast.walk(function))
    attributes = {
        node.func.attr for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    if attributes & CHECKS or any(isinstance(node, ast.Assert) for node in nodes):
        return True
    return any(name.startswith("assert") for name in attributes | called(function))


def helpers(defined: list[ast.FunctionDef]) -> set[str]:
    """The names of functions that assert, or call one that does."""
    by_name = defaultdict(list)
    for function in defined:
        by_name[function.name].append(function)
    found: set[str] = set()
    while True:
        more = {name for name, same in by_name.items() if all(asserts(one) or called(one) & found for one in same)}
        if more == found:
            return found
        found = more


def idle(defined: list[ast.FunctionDef]) -> list[str]:
    """Tests that assert nothing."""
    known = helpers(defined)
    tests = [function for function in defined if function.name.startswith("test")]
    return [test.name for test in tests if not asserts(test) and not called(test) & known]


def test_no_test_lacks_an_assertion() -> None:
    modules = sorted(FOLDER.rglob("*.py"))
    assert len(modules) > 50
    assert idle([function for path in modules for function in functions(path)]) == []


def test_a_test_without_an_assertion_is_found() -> None:
    source = (
        "def test_a():\n    run()\ndef test_b():\n    check()\ndef check():\n    assert run()\n"
        "def test_c():\n    np.testing.assert_equal(1, 1)\n"
    )
    defined = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    assert idle(defined) == ["test_a"]
