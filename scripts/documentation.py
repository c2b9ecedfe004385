"""Hooks of mkdocs (``make docs``): pages from outside ``docs/``, the reference, and the navigation.

A new page in ``docs/``, a notebook, a decision, a deployer or a public name needs no edit here. A page that is named in
no section of ``SECTIONS`` is one of the how-to guides.
"""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

CHECKOUT = Path(__file__).parents[1]
# Pages whose sources are elsewhere: the path in the site of each source.
COPIED = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "findings/README.md": "findings.md",
    "benchmarks/README.md": "benchmarks.md",
    **{
        f"benchmarks/results/{path.name}": f"benchmarks/{path.name.lower().replace('readme', 'about')}"
        for path in sorted((CHECKOUT / "benchmarks" / "results").glob("*.md"))
    },
}
SECTIONS = {
    "Reference": ("protocol.md", "glossary.md", "extras.md", "changelog.md"),
    "Explanation": ("architecture.md", "security.md", "cuts.md", "findings.md", "contributing.md"),
}
DECISIONS = "docs/decisions"
_LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")
_PICTURE = re.compile(r'<picture>\s*<source [^>]*srcset="([^"]*)">\s*<img alt="([^"]*)" src="([^"]*)">\s*</picture>')
_ROLE = re.compile(r":(?:class|meth|func|attr|mod|exc|data):<code>~?")
_LIST_ITEM = re.compile(r"(?:[-*]|\d+\.) ")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is made here to the files of ``docs/``, and put all pages into the navigation."""
    for source, path in COPIED.items():
        files.append(_generated(config, path, (CHECKOUT / source).read_text()))
    for picture in (CHECKOUT / "benchmarks" / "results").glob("*.png"):
        files.append(File.generated(config, f"benchmarks/{picture.name}", abs_src_path=str(picture)))
    for notebook in sorted((CHECKOUT / "notebooks").glob("*.ipynb")):
        files.append(_generated(config, f"tutorials/{notebook.stem}.md", _tutorial(notebook)))
    for path, content in _reference().items():
        files.append(_generated(config, path, content))
    files.append(_generated(config, "decisions/index.md", _decisions()))
    config["nav"] = _navigation(sorted(file.src_uri for file in files.documentation_pages()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make the markdown of the repository that of the site: its links, pictures and lists."""
    path = page.file.src_uri
    source = next((source for source, copy in COPIED.items() if copy == path), None)
    if source is None:
        source = f"notebooks/{posixpath.basename(path)}" if path.startswith("tutorials/") else f"docs/{path}"
    return "".join(_rewritten(markdown, source, path))


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Remove the roles of docstrings: ``:class:`` stands before a name that is written as code already."""
    return _ROLE.sub("<code>", html)


# --- pages


def _generated(config: MkDocsConfig, path: str, content: str) -> File:
    return File.generated(config, path, content=content)


def _tutorial(notebook: Path) -> str:
    from nbconvert import MarkdownExporter  # takes a second, which tests of the rest need not wait

    body, _ = MarkdownExporter().from_filename(str(notebook))
    run = f"*This page is the notebook `notebooks/{notebook.name}`; run it to see the outputs.*"
    heading, _, rest = str(body).lstrip().partition("\n")
    return f"{heading}\n\n{run}\n{rest}"


def _decisions() -> str:
    pages = sorted((CHECKOUT / DECISIONS).glob("*.md"))
    lines = (f"- [{page.read_text().partition(chr(10))[0].lstrip('# ')}]({page.name})" for page in pages)
    return "\n".join(["# Decisions", "", "Why the design is as it is: context, choice, cost, how to undo.", "", *lines])


def _public_names(module: Path) -> list[str]:
    """Return ``__all__`` of a module, without importing it."""
    for statement in ast.parse(module.read_text()).body:
        if isinstance(statement, ast.Assign) and getattr(statement.targets[0], "id", "") == "__all__":
            return list(ast.literal_eval(statement.value))
    return []


def _reference() -> dict[str, str]:
    """Return the pages of the public interface, by their paths."""
    package = CHECKOUT / "clipper_nb"
    names = _public_names(package / "__init__.py")
    errors = set(_public_names(package / "errors" / "__init__.py"))
    others = [name for name in names if name not in errors and name != "ClipperConnection"]
    pages = {
        "reference/connection.md": _page("The connection", "clipper_nb", ["ClipperConnection"]),
        "reference/managers-and-records.md": _page("Container managers and records", "clipper_nb", others),
        "reference/errors.md": _page("Errors", "clipper_nb", [name for name in names if name in errors]),
    }
    modules = [*sorted((package / "deployers").glob("*.py")), package / "client" / "__init__.py"]
    modules += [package / "testing" / "__init__.py", *package.glob("metrics.py"), *package.glob("metrics/__init__.py")]
    for module in modules:
        name = ".".join(module.relative_to(CHECKOUT).with_suffix("").parts).removesuffix(".__init__")
        if public := _public_names(module):
            pages[f"reference/{name.removeprefix('clipper_nb.')}.md"] = _page(f"`{name}`", name, public)
    return pages


def _page(title: str, module: str, names: list[str]) -> str:
    return "\n\n".join([f"# {title}", *(f"::: {module}.{name}" for name in names)])


def _navigation(paths: list[str]) -> list[Any]:
    """Return the sections of the site; each page is in one of them."""
    placed = {"index.md", *(path for section in SECTIONS.values() for path in section)}

    def take(folder: str) -> list[str]:
        found = [path for path in paths if path.startswith(folder) and path not in placed]
        placed.update(found)
        return found

    tutorials, decisions, coming = take("tutorials/"), take("decisions/"), take("coming-from/")
    reference, measured = take("reference/"), take("benchmarks")
    known = {title: [path for path in section if path in paths] for title, section in SECTIONS.items()}
    decisions.sort(key=lambda path: (path != "decisions/index.md", path))
    return [
        {"Home": "index.md"},
        {"Tutorials": tutorials},
        {"How-to": [*take(""), {"Coming from": coming}]},
        {"Reference": [*reference, *known["Reference"]]},
        {"Explanation": [*known["Explanation"], {"Decisions": decisions}, {"Measured": measured}]},
    ]


# --- markdown


def _rewritten(markdown: str, source: str, path: str) -> Iterator[str]:
    """Yield *markdown* of the file *source* for the page *path*, code as it is."""
    for number, part in enumerate(re.split(r"(^ *```.*?^ *```$\n?)", markdown, flags=re.MULTILINE | re.DOTALL)):
        yield part if number % 2 else _prose(part, source, path)


def _prose(text: str, source: str, path: str) -> str:
    text = _PICTURE.sub(lambda found: _both_themes(*found.groups(), source, path), text)
    text = text.replace("] [", "] &#91;")  # two texts in brackets are no reference
    text = _LINK.sub(lambda found: _link(found[1], found[2], source, path), text)
    return _with_space_before_lists(text)


def _both_themes(dark: str, alt: str, light: str, source: str, path: str) -> str:
    """Return a picture for each theme; the reader's choice of the theme counts, not the machine's."""
    images = (
        f"![{alt}]({_moved(file, source, path)}#only-{theme})" for theme, file in (("light", light), ("dark", dark))
    )
    return "\n\n" + "\n".join(images) + "\n\n"


def _link(text: str, target: str, source: str, path: str) -> str:
    """Return a link to a page of the site; what the site has not is only named."""
    if re.match(r"[a-z]+:|#", target):
        return f"[{text}]({target})"
    file, _, anchor = target.partition("#")
    moved = _moved(file, source, path)
    if moved is None:
        named = _in_checkout(file, source)
        return text if posixpath.basename(named) in text else f"{text} (`{named}`)"
    return f"[{text}]({moved}{'#' + anchor if anchor else ''})"


def _in_checkout(target: str, source: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), target))


def _moved(target: str, source: str, path: str) -> str | None:
    """Return where the site has the file that *source* calls *target*, seen from *path*; ``None`` where it has none."""
    file = _in_checkout(target, source)
    if file == DECISIONS:
        place = "decisions/index.md"
    elif file.startswith("notebooks/") and file.endswith(".ipynb"):
        place = f"tutorials/{Path(file).stem}.md"
    elif found := next((COPIED[name] for name in (file, f"{file}/README.md") if name in COPIED), None):
        place = found
    elif file.startswith("docs/") and (CHECKOUT / file).is_file():
        place = file.removeprefix("docs/")
    elif (CHECKOUT / file).exists():
        return None
    else:
        place = target  # which mkdocs reports
    return posixpath.relpath(place, posixpath.dirname(path) or ".")


def _with_space_before_lists(text: str) -> str:
    """Return *text* with an empty line before each list: without it, Markdown takes the list for text."""
    lines: list[str] = []
    for line in text.split("\n"):
        before = lines[-1] if lines else ""
        in_list = _LIST_ITEM.match(before.lstrip()) or before.startswith("  ")
        if _LIST_ITEM.match(line) and before.strip() and not in_list:
            lines.append("")
        lines.append(line)
    return "\n".join(lines)
