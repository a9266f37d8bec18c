"""The whole way, as callers go it."""
