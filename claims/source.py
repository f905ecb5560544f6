"""The code of a proof: a test, and what of its module it uses."""

import ast
from collections.abc import Iterator


def code_of(function: ast.FunctionDef, module: ast.Module, text: str) -> str:
    """A test without its decorators, below the constants and functions of its module that it uses.

    `text` is the module's source. What comes from other modules is not included.
    """
    own = {name: node for node in module.body for name in _defines(node) if node is not function}
    used: dict[ast.stmt, None] = {}
    waiting = [function.args, *function.body]  # not its decorators
    while waiting:
        for name in _names(waiting.pop()):
            if (node := own.get(name)) and node not in used:
                used[node] = None
                waiting.append(node)
    lines = text.splitlines()
    parts = [lines[_start(node) - 1 : node.end_lineno] for node in sorted(used, key=_start)]
    parts.append(lines[function.lineno - 1 : function.end_lineno])
    blank = ["", ""]
    joined: list[str] = []
    for part in parts:
        joined += [*blank, *part] if joined else part
    return "\n".join(joined) + "\n"


def _start(node: ast.stmt) -> int:
    decorators = node.decorator_list if isinstance(node, ast.FunctionDef | ast.ClassDef) else []
    return min([node.lineno, *(each.lineno for each in decorators)])


def _defines(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _names(node: ast.AST) -> Iterator[str]:
    return (each.id for each in ast.walk(node) if isinstance(each, ast.Name))
