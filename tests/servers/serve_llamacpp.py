"""Serve a model with llama.cpp's server: `python serve_llamacpp.py FILE PORT KEY [--chat]`.

It runs in the environment of the server, which is a library there, until it is told to end.
`--chat` starts it as it starts by default, without a rerank.
"""

# mypy: disable-error-code="import-not-found,import-untyped,no-untyped-call"

from __future__ import annotations

import signal
import sys

import xllamacpp

MAX_TOKENS = 128


def main(model: str, port: str, key: str, mode: str = "") -> None:
    """Listen until a signal."""
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.model_alias = ["tiny-reranker"]
    params.hostnames = ["127.0.0.1"]
    params.port = int(port)
    params.api_keys = [key]
    params.n_ctx = params.n_batch = params.n_ubatch = MAX_TOKENS
    params.n_parallel = 1
    params.n_threads_http = 2
    params.warmup = False
    params.fit_params = False  # there is no memory of a card to fit into
    params.cpuparams.n_threads = 1
    if mode != "--chat":
        params.embedding = True
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_RANK
    server = xllamacpp.Server(params)
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    main(*sys.argv[1:])
