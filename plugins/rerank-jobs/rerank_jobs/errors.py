"""Why a job did not run, or did not go on."""

from __future__ import annotations

from rerank_core import ConfigurationError


class JobError(ConfigurationError):
    """The job cannot be run as it stands: its input, its output or its settings.

    Nothing was sent for it since it was raised; what was ranked before is saved.
    """
