"""From requests to replies: what is decided in flows, carried out by drivers, through httpx."""
