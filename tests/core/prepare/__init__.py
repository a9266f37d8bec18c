"""From a call to requests."""
