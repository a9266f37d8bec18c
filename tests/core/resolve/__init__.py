"""From `provider/model` and options to a target."""
