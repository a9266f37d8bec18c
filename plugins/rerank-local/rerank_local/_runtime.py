"""onnxruntime without its telemetry, which would begin as soon as it is imported."""

from __future__ import annotations

import os

_SWITCH = "ORT_DISABLE_TELEMETRY"
_is_chosen = _SWITCH in os.environ  # whoever says something of it, keeps what was said
os.environ.setdefault(_SWITCH, "1")

import onnxruntime  # noqa: E402 - it reads the variable once, here

if not _is_chosen:
    # For a process that has imported it before; releases without telemetry may lack the function.
    getattr(onnxruntime, "disable_telemetry_events", lambda: None)()

__all__ = ["onnxruntime"]
