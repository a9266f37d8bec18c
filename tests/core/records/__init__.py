"""What callers and authors import."""
