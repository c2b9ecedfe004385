"""Rejects modules of a checkout that were compiled (decision 0026) before their last change; Python would load them."""

from __future__ import annotations

from pathlib import Path

from clipper_nb.errors import ClusterStartError

_PACKAGE = Path(__file__).parent


def refuse_stale_modules(package: Path = _PACKAGE) -> None:
    """Check that compiled modules match their sources; an installed package, unlike a checkout, cannot differ.

    Raises
    ------
    ClusterStartError
        A source was changed, or came with another revision, after it had been compiled.
    """
    if not (package.parent / "pyproject.toml").is_file():
        return
    for compiled in package.rglob("*.so"):
        source = compiled.with_name(compiled.name.split(".")[0] + ".py")
        if not source.is_file() or source.stat().st_mtime > compiled.stat().st_mtime:
            raise ClusterStartError(
                f"{source.relative_to(package.parent)} was compiled before its last change, and Python would run the "
                "old code. Run `make compile` again in the checkout, or `make interpreted`."
            )
