"""Use the installed packages as a newcomer would: nothing here but the public call.

`python .ci/use_installed.py local/minilm` calls the models of this process that it names, too.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from rerank_core import arerank, list_providers, rerank

DOCUMENTS = ["Berlin is in Germany.", "Paris is the capital of France."]
REPLY = {"results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}]}


class Service(BaseHTTPRequestHandler):
    """Answers every request with the same ranking."""

    def do_POST(self) -> None:
        """Answer."""
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps(REPLY).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


def main(models: list[str]) -> None:
    """Rank here by each model, and over HTTP in both ways."""
    for provider in list_providers():
        print(provider.name, provider.source, provider.error or "")
        if provider.error:
            raise SystemExit(1)
    local = [rerank(model, "capital of France", DOCUMENTS) for model in ("local/bm25", *models)]
    with HTTPServer(("127.0.0.1", 0), Service) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        there = {"api_base": f"http://127.0.0.1:{server.server_port}", "api_key": "test-key"}
        model = "cohere/rerank-v3.5"
        cohere = rerank(model, "capital of France", DOCUMENTS, top_n=2, **there)
        awaited = asyncio.run(arerank(model, "capital of France", DOCUMENTS, top_n=2, **there))
        server.shutdown()
    for response in (*local, cohere, awaited):
        print(response.provider, response.model)
        for result in response.results:
            print(result.index, result.relevance_score, result.document and result.document.text)
        if [result.index for result in response.results] != [1, 0]:
            raise SystemExit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
