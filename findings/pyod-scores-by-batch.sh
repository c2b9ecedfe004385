#!/bin/bash
# pyod 3.6.7 scores a row by the other rows of its batch: COPOD, ECOD, ROD and LMDD, though they are fitted.
# Seen: of 20 rows the first is far from all that was fitted. decision_function() of the 20 rows and of each row alone are
# the same for KNN and IForest. ECOD and COPOD give each row another score (COPOD: 2.896 and 3.559), since they rank the rows
# of a call among those of the fit. ROD gives each row alone the same score, and LMDD gives 0: the far row is as any other.
# Expected: predict() of a fitted detector is a function of the row, as in scikit-learn, whose conventions pyod follows.
# Who is hurt: a fraud or fault detector that is fitted and tried on a table and served one event at a time, or in batches
# whose size depends on the load: alarms that the notebook showed never come, and the same event is scored twice differently.
# Instead: a detector that keeps what it fitted (KNN, LOF, HBOS, IForest); compare scores of a table with those of its rows.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pyod==3.6.7 numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1
seen=$("$folder/venv/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from pyod.models.copod import COPOD
from pyod.models.ecod import ECOD
from pyod.models.iforest import IForest
from pyod.models.knn import KNN
from pyod.models.lmdd import LMDD
from pyod.models.rod import ROD

random = np.random.default_rng(0)
fitted, rows = random.normal(size=(200, 4)), random.normal(size=(20, 4))
rows[0] += 8
print(version("pyod"))
for detector in (KNN(), IForest(random_state=0), ECOD(), COPOD(), ROD(), LMDD(random_state=0)):
    detector.fit(fitted)
    together = detector.decision_function(rows)
    alone = np.array([detector.decision_function(row[None])[0] for row in rows])
    differ = int((~np.isclose(together, alone, rtol=1e-6)).sum())
    print(f"{type(detector).__name__}: {differ} differ; the far row {together[0]:.3f} | {alone[0]:.3f}; "
          f"another {together[1]:.3f} | {alone[1]:.3f}")
PYTHON
)
echo "scores of 20 rows together | each alone"
echo "$seen"
expected="3.6.7
KNN: 0 differ; the far row 14.446 | 14.446; another 0.794 | 0.794
IForest: 0 differ; the far row 0.225 | 0.225; another -0.132 | -0.132
ECOD: 20 differ; the far row 21.575 | 21.213; another 3.627 | 3.588
COPOD: 20 differ; the far row 21.575 | 21.213; another 2.896 | 3.559
ROD: 20 differ; the far row 1.000 | 0.663; another 0.511 | 0.663
LMDD: 20 differ; the far row 65.334 | 0.000; another 4.196 | 0.000"
[ "$seen" = "$expected" ] || { echo "The behaviour has changed." >&2; exit 1; }
