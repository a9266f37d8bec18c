"""Real servers on loopback, driven through the public API."""
