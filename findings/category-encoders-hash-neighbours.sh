#!/bin/bash
# category_encoders 2.11.2 gives a category another hash when a row beside it has a gap: HashingEncoder.
# Seen: of a column of whole numbers, transform() of the row 1 alone and of the rows 1 and None puts the 1 into different
# buckets. The gap makes pandas hold the column as floats, and the hash is that of the text "1.0" instead of "1". Of a
# column of texts the bucket is the same. Other encoders of the package, such as OrdinalEncoder, find the 1 in both.
# Expected: the features of a row depend on that row, also beside a missing value, which the encoder accepts.
# Who is hurt: codes of shops, products or areas as numbers. A model is asked with one row after the other and with batches
# of them; one incomplete row in a batch changes the answers to all others, without a warning.
# Instead: make the column text before the fit and before each transform: .astype("Int64").astype("string").
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q category_encoders==2.11.2 pandas==2.3.3 numpy==2.4.6 scikit-learn==1.9.1 scipy==1.17.1
seen=$("$folder/venv/bin/python" -W error - <<'PYTHON'
import category_encoders
import pandas as pd


def first(encoder, *shops):
    """Return the features of the first row."""
    return encoder.transform(pd.DataFrame({"shop": shops})).to_numpy().tolist()[0]


def compare(encoder, one, two):
    encoder.fit(pd.DataFrame({"shop": [one, two]}))
    same = first(encoder, one) == first(encoder, one, None)
    return f"{type(encoder).__name__} of {one!r}: {'same' if same else 'different'}"


print(
    category_encoders.__version__,
    compare(category_encoders.HashingEncoder(cols=["shop"], max_process=1), 1, 2),
    compare(category_encoders.HashingEncoder(cols=["shop"], max_process=1), "1", "2"),
    compare(category_encoders.OrdinalEncoder(cols=["shop"]), 1, 2),
    sep=" | ",
)
PYTHON
)
echo "version | the features of a row alone and beside a gap"
echo "$seen"
expected="2.11.2 | HashingEncoder of 1: different | HashingEncoder of '1': same | OrdinalEncoder of 1: same"
[ "$seen" = "$expected" ] || { echo "The behaviour has changed." >&2; exit 1; }
