"""From requests to replies."""
