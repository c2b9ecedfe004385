"""The blocks of code of a page of documentation. Each is run by a test, unless the line before it says why not.

``<!-- not run: needs a registry -->`` stands before a block that no test runs, ``<!-- saved as outside.py -->`` before
a program, and ``<!-- runs until the page ends -->`` before commands that go on while the blocks after it run. Of
commands in a shell only those are run that show their prompt, ``$``, and what they print.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
PAGES = sorted(
    str(path.relative_to(CHECKOUT))
    for path in [
        *CHECKOUT.glob("*.md"),
        *CHECKOUT.glob("benchmarks/*.md"),
        *CHECKOUT.glob("findings/*.md"),
        *CHECKOUT.glob("r/**/*.md"),
        *(CHECKOUT / "docs").rglob("*.md"),
    ]
)
_BLOCK = re.compile(
    r"^(?:<!-- (?P<mark>[^\n]*) -->\n)?(?P<fence>```)(?P<language>[^\n]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)
_CODE = frozenset({"python", "sh", "bash", "console", "r"})
_NOT_RUN, _SAVED_AS, _STAYS = "not run: ", "saved as ", "runs until the page ends"


@dataclass(frozen=True)
class Block:
    """One block of code.

    Attributes
    ----------
    language : str
        As the page names it; empty for what is no code.
    line : int
        The number of its first line in the page.
    mark : str
        What the comment before it says.
    """

    page: str
    language: str
    line: int
    code: str
    mark: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def is_code(self) -> bool:
        """Whether it is a program, or commands."""
        return self.language in _CODE

    @property
    def why_not_run(self) -> str:
        """Why no test runs it; empty if one does."""
        return self.mark.removeprefix(_NOT_RUN) if self.mark.startswith(_NOT_RUN) else ""

    @property
    def file_name(self) -> str:
        """The name under which it is to be saved; empty if it is run as it is."""
        return self.mark.removeprefix(_SAVED_AS) if self.mark.startswith(_SAVED_AS) else ""

    @property
    def stays(self) -> bool:
        """Whether its commands run beside the blocks after it."""
        return self.mark == _STAYS

    @property
    def has_prompts(self) -> bool:
        """Whether it shows commands and what they print."""
        return self.code.startswith("$ ")

    @property
    def is_run(self) -> bool:
        """Whether a test runs it, or what needs it."""
        return self.is_code and not self.why_not_run


def blocks_of(page: str) -> list[Block]:
    """Return the blocks of a page in order."""
    text = (CHECKOUT / page).read_text()
    return [
        Block(
            page, found["language"], text.count("\n", 0, found.start("fence")) + 2, found["code"], found["mark"] or ""
        )
        for found in _BLOCK.finditer(text)
    ]
