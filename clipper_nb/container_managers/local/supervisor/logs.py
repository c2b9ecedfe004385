"""Bounds the size of each of the cluster's logs, and the number of logs of ended processes."""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path

from clipper_nb.container_managers.local.cluster_folder import ClusterFolder
from clipper_nb.container_managers.local.log_files import LARGEST_PART_SIZE_BYTES, remove_log, rotate_log

NUM_ENDED_LOGS = 20


class ClusterLogs:
    """The logs in one cluster's folder.

    Parameters
    ----------
    folder : ClusterFolder
    largest_size_bytes : int
        A log that is larger is continued in a new part.
    num_ended : int
        How many logs of stopped processes are kept.
    """

    def __init__(
        self,
        folder: ClusterFolder,
        *,
        largest_size_bytes: int = LARGEST_PART_SIZE_BYTES,
        num_ended: int = NUM_ENDED_LOGS,
    ) -> None:
        self._folder = folder
        self._largest_size_bytes = largest_size_bytes
        self._num_ended = num_ended
        self._ended = deque(_logged_before(folder.logs_path))

    def look(self) -> None:
        """Continue each full log in a new part."""
        with os.scandir(self._folder.logs_path) as entries:
            sizes_bytes = {Path(entry.path): entry.stat().st_size for entry in entries if entry.name.endswith(".log")}
        sizes_bytes[self._folder.supervisor_log_path] = self._folder.supervisor_log_path.stat().st_size
        for path, size_bytes in sizes_bytes.items():
            if size_bytes > self._largest_size_bytes:
                rotate_log(path, largest_size_bytes=self._largest_size_bytes)

    def has_begun(self, name: str) -> None:
        """Keep the log of a process that runs."""
        if name in self._ended:
            self._ended.remove(name)

    def has_ended(self, name: str) -> None:
        """Keep the log of a stopped process until *num_ended* others were stopped after it."""
        self._ended.append(name)
        while len(self._ended) > self._num_ended:
            remove_log(self._folder.log_path(self._ended.popleft()))


def _logged_before(logs_path: Path) -> list[str]:
    """Return the names of processes that have a log of the time before the cluster was resumed, the oldest first."""
    logs = sorted(logs_path.glob("*.log"), key=lambda log: log.stat().st_mtime)
    return [log.stem for log in logs]
