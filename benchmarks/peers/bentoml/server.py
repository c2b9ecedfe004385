"""Starts ``service.py`` with BentoML's own command."""

import os
import sys
from pathlib import Path

os.environ.update(BENTOML_HOME=os.getcwd(), BENTOML_DO_NOT_TRACK="True")
os.execv(
    Path(sys.executable).with_name("bentoml"),
    [
        "bentoml", "serve", "service:Peer", "--working-dir", str(Path(__file__).parent),
        "--host", "127.0.0.1", "--port", sys.argv[1],
    ],
)  # fmt: skip
