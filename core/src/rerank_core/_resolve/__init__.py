"""From `provider/model` and the caller's options to a target: where to, with whose key."""
