"""The tools that users install around httpx, over our calls."""
