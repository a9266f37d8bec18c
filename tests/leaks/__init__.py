"""No key, token or signed header in any text: every provider, every place for a key, every failure.

`RERANK_LEAKS=all pytest -m "" tests/leaks` tries each failure with both drivers; `-m slow` alone
takes them in turn.
"""
