"""Rerank the rows of a file, however many: resumed, within limits, within a budget.

`Job` is what `rerank job` runs. `rerank_jobs.tables` ranks the rows of a pyarrow table, and
`rerank_jobs.ray` those of a Ray dataset.
"""

from __future__ import annotations

from rerank_jobs._job import Job
from rerank_jobs._report import Estimate, JobReport
from rerank_jobs.errors import JobError

__all__ = ["Estimate", "Job", "JobError", "JobReport"]
