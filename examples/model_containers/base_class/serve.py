"""A model container on clipper_nb's base class: it says whether a text is kind."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

from clipper_nb.runtime.model_container import model_container_settings, serve


class Sentiment:
    """Adds up what the words of a text are worth."""

    def __init__(self, folder: Path) -> None:
        self._worth = json.loads((folder / "words.json").read_text())

    def predict(self, inputs: list[str]) -> list[dict[str, object]]:
        """Return one output per input, in order; an exception becomes the answer to the whole batch."""
        return [self._judge(text) for text in inputs]

    def _judge(self, text: str) -> dict[str, object]:
        words = re.findall(r"\w+", text.lower())
        if not words:
            raise ValueError("there is no word in the text")
        score = sum(self._worth.get(word, 0) for word in words)
        return {"mood": "kind" if score > 0 else "unkind" if score < 0 else "neutral", "score": score}


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    settings = model_container_settings()
    model = Sentiment(settings.model_path)  # before it connects: a replica counts as ready when it is connected
    serve(model, settings)
