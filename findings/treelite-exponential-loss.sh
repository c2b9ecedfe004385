#!/bin/bash
# treelite 4.8.1 gives other probabilities for scikit-learn's gradient boosting with the exponential loss.
# Seen: GradientBoostingClassifier(loss="exponential") says 0.72, treelite's import of it says 0.62: the logistic function
# of the score, where this loss needs that of twice the score. The default loss, `log_loss`, agrees. No error, no warning.
# Expected: the same probabilities (skl2onnx 1.20.0 has them), or an error.
# Who is hurt: whoever compiles such a model with treelite or tl2cgen: labels stay right and each probability is too
# close to one half, so that a threshold other than 0.5 finds too little.
# Instead: compare probabilities, not labels, before such a model is deployed; or double the margin yourself.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q treelite==4.8.1 scikit-learn==1.9.1 numpy==2.4.6
seen=$("$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import treelite
from sklearn.ensemble import GradientBoostingClassifier

inputs = np.random.RandomState(0).randn(400, 4).astype(np.float32)
labels = (inputs[:, 0] + inputs[:, 1] > 0).astype(int)


def probabilities_of_both(loss):
    model = GradientBoostingClassifier(loss=loss, n_estimators=5, random_state=0).fit(inputs, labels)
    imported = treelite.gtil.predict(treelite.sklearn.import_model(model), inputs[:3]).ravel()
    return f"{model.predict_proba(inputs[:3])[:, 1].round(2).tolist()} -> {imported.astype(float).round(2).tolist()}"


print(treelite.__version__, probabilities_of_both("log_loss"), probabilities_of_both("exponential"), sep=" | ")
PYTHON
)
echo "version | log_loss: scikit-learn -> treelite | exponential"
echo "$seen"
expected="4.8.1 | [0.7, 0.62, 0.55] -> [0.7, 0.62, 0.55] | [0.72, 0.64, 0.56] -> [0.62, 0.57, 0.53]"
[ "$seen" = "$expected" ] || { echo "The behaviour has changed." >&2; exit 1; }
