"""Record what ranx and scikit-learn compute, for the tests to compare with.

They need 300 MB between them, so they are no part of the ordinary environment. Run this in one that
has `ranx` and `scikit-learn`: `python plugins/rerank-eval/tests/record_peers.py`.
"""

from __future__ import annotations

import json
import random
from importlib.metadata import version
from pathlib import Path
from typing import Any

TARGET = Path(__file__).with_name("peers.json")


def make_lists(seed: int) -> list[dict[str, float]]:
    """Three scorings of the same twelve documents, without ties."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    return [{str(at): chance.uniform(-4, 9) for at in range(12)} for _ in range(3)]


def make_pairs(seed: int) -> tuple[list[float], list[bool]]:
    """Scores with equal ones among them, the higher the more often relevant."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    scores = [round(chance.gauss(0, 2), 1) for _ in range(400)]
    return scores, [chance.random() < 1 / (1 + 2.0 ** (1 - score)) for score in scores]


def main() -> None:
    """Write the file."""
    import numpy as np  # noqa: PLC0415 - the tests import this module, too
    import ranx  # type: ignore[import-not-found]  # noqa: PLC0415 - its own environment
    from sklearn.isotonic import (  # type: ignore[import-not-found]  # noqa: PLC0415 - likewise
        IsotonicRegression,
    )
    from sklearn.linear_model import (  # type: ignore[import-not-found]  # noqa: PLC0415 - likewise
        LogisticRegression,
    )

    found: dict[str, Any] = {
        "versions": {name: version(name) for name in ("ranx", "scikit-learn")},
        "fusion": [],
    }
    for seed in range(5):
        runs = [ranx.Run({"q": scores}) for scores in make_lists(seed)]
        weights = [0.2, 0.3, 0.5]
        rrf = ranx.fuse(runs, norm=None, method="rrf", params={"k": 60})
        wsum = ranx.fuse(runs, norm="min-max", method="wsum", params={"weights": weights})
        found["fusion"].append(
            {
                "seed": seed,
                "weights": weights,
                "rrf": {name: float(value) for name, value in rrf.run["q"].items()},
                "weighted": {name: float(value) for name, value in wsum.run["q"].items()},
            }
        )
    scores, relevant = make_pairs(1)
    points = np.linspace(-8, 8, 41)
    isotonic = IsotonicRegression(out_of_bounds="clip").fit(scores, relevant)
    # Platt's own formula: each pair counts for both answers, by his smoothed targets.
    right, wrong = relevant.count(True), relevant.count(False)
    targets = np.where(relevant, (right + 1) / (right + 2), 1 / (wrong + 2))
    platt = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(
        np.array(scores * 2).reshape(-1, 1),
        np.repeat([1, 0], len(scores)),
        sample_weight=np.concatenate([targets, 1 - targets]),
    )
    found["calibration"] = {
        "seed": 1,
        "points": points.tolist(),
        "isotonic": isotonic.predict(points).tolist(),
        "platt": platt.predict_proba(points.reshape(-1, 1))[:, 1].tolist(),
    }
    TARGET.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
