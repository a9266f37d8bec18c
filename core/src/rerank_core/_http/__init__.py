"""Connections, and what goes over them: everything that knows sockets, httpcore and httpx."""
