"""The conformance kit itself, tried on planted faults."""
