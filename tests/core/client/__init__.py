<<<<<<< HEAD
"""The whole way, as callers go it."""
=======
"""Tests of the calls, as applications make them."""
>>>>>>> front
