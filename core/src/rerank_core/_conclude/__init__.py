"""From replies to the caller's response: status, parse, check, merge, sort and cost."""
