"""What happens to a call when the network or the service misbehaves."""
