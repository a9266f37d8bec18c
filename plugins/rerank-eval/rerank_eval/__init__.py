"""Which reranker is best on your data: quality with intervals and a ceiling, latency, and cost.

`evaluate` compares rerankers on judged queries, `compare` shows them side by side on one query, and
`calibrate` turns a reranker's scores into probabilities. `fuse`, `Cascade`, `Cutoff` and
`Calibration` build rerankers from rerankers.
"""

from __future__ import annotations

from rerank_eval._calibrate import Calibrated, calibrate
from rerank_eval._calibration import Calibration
from rerank_eval._cascade import Cascade
from rerank_eval._compare import Agreement, Comparison, compare
from rerank_eval._cutoff import Cutoff, keep_above
from rerank_eval._data import Collection, DataError, Topic
from rerank_eval._entrants import Entrant
from rerank_eval._evaluate import evaluate
from rerank_eval._fusion import fuse
from rerank_eval._measures import Measure, parse_measure, score_orders
from rerank_eval._read import Files, read_collection
from rerank_eval._report import Report
from rerank_eval._trec import read_qrels, read_run, read_topics, write_qrels, write_run

eval = evaluate  # noqa: A001 - the command's name, for whoever looks for it

__all__ = [
    "Agreement",
    "Calibrated",
    "Calibration",
    "Cascade",
    "Collection",
    "Comparison",
    "Cutoff",
    "DataError",
    "Entrant",
    "Files",
    "Measure",
    "Report",
    "Topic",
    "calibrate",
    "compare",
    "eval",
    "evaluate",
    "fuse",
    "keep_above",
    "parse_measure",
    "read_collection",
    "read_qrels",
    "read_run",
    "read_topics",
    "score_orders",
    "write_qrels",
    "write_run",
]
