"""What the engine reports while it builds: the step that runs, its output, and the images of the build. (pure)"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator

_MAX_LINES = 500
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_STEP = re.compile(r"Step \d+/\d+ : ")
_STEP_IMAGE = re.compile(r" ---> ([0-9a-f]{12,64})$")
_USING_CACHE = " ---> Using cache"
_BOOKKEEPING = re.compile(r" ---> |Removing intermediate container |\[Warning\] One or more build-args ")


class BuildLog:
    """Follows one build.

    Attributes
    ----------
    step : str
        The instruction that runs now; empty before the first.
    made_images : list of str
        Ids of the images of finished steps, oldest first, without the base image and what was found in the cache.
    image_below : dict
        By instruction, the id of the image that it was carried out on.
    """

    def __init__(self) -> None:
        self.step = ""
        self.made_images: list[str] = []
        self.image_below: dict[str, str] = {}
        self._image = ""
        self._lines: deque[str] = deque(maxlen=_MAX_LINES)
        self._is_from = self._is_cached = False
        self._partial = ""

    def add(self, text: str) -> Iterator[str]:
        """Add a piece of the engine's output, and yield its lines that inform a reader."""
        text = self._partial + _COLOUR.sub("", text).replace("\r", "\n")
        *lines, self._partial = text.split("\n")
        for line in lines:
            if line.strip() and self._is_news(line):
                self._lines.append(line)
                yield line

    @property
    def of_step(self) -> str:
        """The step that runs now and its output."""
        return "\n".join([*self._lines, *filter(None, [self._partial])])

    def _is_news(self, line: str) -> bool:
        if _STEP.match(line):
            self.step = _STEP.sub("", line)
            self._is_from, self._is_cached = self.step.startswith("FROM "), False
            self.image_below[self.step] = self._image
            self._lines.clear()
            return True
        self._is_cached = self._is_cached or line == _USING_CACHE
        made = _STEP_IMAGE.match(line)
        if made:
            self._image = made[1]
        if made and not self._is_from and not self._is_cached:
            self.made_images.append(made[1])
        return not _BOOKKEEPING.match(line)
