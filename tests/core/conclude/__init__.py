"""From replies to the caller's response."""
