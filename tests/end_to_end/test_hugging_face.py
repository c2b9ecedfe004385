"""Pipelines of Hugging Face, in a process without TensorFlow, beside which PyTorch's compiler may crash."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clipper_nb import ClipperConnection
from clipper_nb.errors import InvalidRequestError

pytestmark = [
    pytest.mark.frameworks,
    pytest.mark.cluster,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore"),  # the frameworks' own
]

SLO_MICROS = 60_000_000


@pytest.fixture(scope="module")
def kind() -> str:
    """Images of gigabytes are not built in tests."""
    return "local"


def make_pipeline(folder: Path) -> Any:
    """A classifier of texts with a tiny model of random weights."""
    import torch
    import transformers

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "day", "a", "what"]
    (folder / "vocab.txt").write_text("\n".join(words))
    tokenizer = transformers.BertTokenizerFast(vocab={word: number for number, word in enumerate(words)})
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    model = transformers.BertForSequenceClassification(config).eval()
    return transformers.pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu")


def test_pipeline_of_hugging_face_from_files_alone(shared: ClipperConnection, tmp_path: Path) -> None:
    from clipper_nb.deployers.huggingface import create_endpoint

    pipeline = make_pipeline(tmp_path)
    create_endpoint(shared, "moods", "strings", None, pipeline, slo_micros=SLO_MICROS)
    texts = ["what a good day", "a bad day", "good", "unknown words"]
    for prediction, expected in zip(shared.predict_batch("moods", texts), pipeline(texts), strict=True):
        assert not prediction.default, prediction.default_explanation
        answer: Any = prediction.output
        assert answer["label"] == expected["label"]
        assert answer["score"] == pytest.approx(expected["score"], rel=1e-6)
    with pytest.raises(InvalidRequestError, match="Choose 'strings'"):
        create_endpoint(shared, "numbers", "floats", None, pipeline)
