"""Sending: flows, drivers, and who is told of them."""
