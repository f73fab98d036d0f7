"""The tests themselves: each can fail by an assertion of its own or of a helper."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
CHECKS = {"raises", "warns", "fail"}
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef


def functions(path: Path) -> Iterator[FUNCTION]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, FUNCTION):
            yield node


def called(function: FUNCTION) -> set[str]:
    """The bare names that a function calls; helpers of tests are called so, and not as attributes."""
    return {
        node.func.id for node in ast.walk(function) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }


def asserts(function: FUNCTION) -> bool:
    """Whether there is an assertion in the function itself."""
    nodes = list(ast.walk(function))
    attributes = {
        node.func.attr for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    if attributes & CHECKS or any(isinstance(node, ast.Assert) for node in nodes):
        return True
    return any(name.startswith("assert") for name in attributes | called(function))


def helpers(defined: list[FUNCTION]) -> set[str]:
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


MODULES = {path: list(functions(path)) for path in sorted(FOLDER.rglob("*.py"))}
HELPERS = helpers([function for defined in MODULES.values() for function in defined])


def idle(defined: list[FUNCTION]) -> list[str]:
    """Tests that assert nothing."""
    tests = [function for function in defined if function.name.startswith("test")]
    return [test.name for test in tests if not asserts(test) and not called(test) & HELPERS]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_no_test_lacks_an_assertion(path: Path) -> None:
    assert idle(MODULES[path]) == []


def test_a_test_without_an_assertion_is_found() -> None:
    source = "def test_a():\n    run()\ndef test_b():\n    check()\ndef check():\n    assert run()\ndef test_c():\n    np.testing.assert_equal(1, 1)\n"
    defined = [node for node in ast.parse(source).body if isinstance(node, FUNCTION)]
    assert not {"run", "np"} & HELPERS
    tests = [test.name for test in defined if not asserts(test) and not called(test) & helpers(defined)]
    assert tests == ["test_a"]
