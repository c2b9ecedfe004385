"""JVMs of tests live for seconds: options by which Spark starts with a quarter of the computing.

``python -m tests.support.jvms`` prints them, for ``JDK_JAVA_OPTIONS``. ``python -m tests.support.jvms FILE`` writes the
classes of Spark to a file, from which each JVM maps them; the options name that of the environment, if it is there.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ARCHIVE = Path(sys.prefix, "spark.jsa")
_END_TIMEOUT_S = 120.0
_QUICKLY_COMPILED = "-XX:+IgnoreUnrecognizedVMOptions -XX:TieredStopAtLevel=1"
_UNVERIFIED = "-XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote"
# Each start begins with a small JVM that has other classes and cannot use the archive; what it says goes to no command.
_SILENT = "-Xlog:disable -Xlog:all=error:stderr"


def short_lived_options(archive: Path | None = ARCHIVE) -> str:
    """Return options of JVMs that compile quickly, not well, verify no classes, and take them from an archive.

    A container has none of this machine's.
    """
    options = [_QUICKLY_COMPILED, _UNVERIFIED]
    if archive is not None and archive.exists():
        options += [f"-XX:SharedArchiveFile={archive}", _SILENT]
    return " ".join(options)


def write_archive(archive: Path) -> None:
    """Write the classes that a notebook and a replica load to a file; a Java that cannot do that writes none."""
    from pyspark.ml.classification import RandomForestClassifier

    from tests.support.spark import flowers_frame, notebook_session

    unfinished = archive.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    os.environ["JDK_JAVA_OPTIONS"] = f"{_QUICKLY_COMPILED} -XX:ArchiveClassesAtExit={unfinished} {_SILENT}"
    with notebook_session() as session:
        frame = flowers_frame(session)
        RandomForestClassifier(numTrees=2, seed=1).fit(frame).transform(frame).collect()
        jvm = session.sparkContext._gateway.proc
    jvm.stdin.close()  # it ends, and writes the archive
    jvm.wait(timeout=_END_TIMEOUT_S)
    if unfinished.exists():
        unfinished.replace(archive)


if __name__ == "__main__":
    if sys.argv[1:]:
        write_archive(Path(sys.argv[1]))
    else:
        print(short_lived_options())
