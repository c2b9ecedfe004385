"""Draws the tree of docs/architecture.md from first lines of modules: ``python -m tests.support.architecture_tree``."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "architecture.md"
BEGIN = "<!-- The tree: python -m tests.support.architecture_tree -->\n```\n"
END = "```\n<!-- The end of the tree -->\n"
_INDENT = "  "


def draw_tree(package: Path) -> str:
    """Return one line for each module below *package*, a room before what is in it, loose modules first."""
    return "\n".join([f"{package.name}/", *_lines(package, 1)]) + "\n"


def replace_tree(page: str, tree: str) -> str:
    """Return the text of *page* with *tree* between its two marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    assert after, "docs/architecture.md has lost a mark of its tree"
    return before + BEGIN + tree + END + after


def _lines(folder: Path, depth: int) -> list[str]:
    lines = []
    for module in sorted(folder.glob("*.py")):
        if module.name != "__init__.py" or depth == 1:
            lines.append(_line(depth, module.name, module))
    for room in sorted(path for path in folder.iterdir() if (path / "__init__.py").exists()):
        lines.append(_line(depth, f"{room.name}/", room / "__init__.py"))
        lines += _lines(room, depth + 1)
    return lines


def _line(depth: int, name: str, module: Path) -> str:
    docstring = ast.get_docstring(ast.parse(module.read_text()))
    assert docstring, f"{module} has no docstring"
    return f"{_INDENT * depth}{name:<{32 - 2 * depth}}{docstring.splitlines()[0].rstrip('.')}"


if __name__ == "__main__":
    PAGE.write_text(replace_tree(PAGE.read_text(), draw_tree(ROOT / "clipper_nb")))
