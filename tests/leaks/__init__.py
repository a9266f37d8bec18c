"""No key, token or signed header in any text: every provider, every place for a key, every failure.

`RERANK_LEAKS=all pytest tests/leaks` tries each failure with both drivers; the ordinary run
takes them in turn.
"""
