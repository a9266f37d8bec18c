"""Tests of the calls, as applications make them."""
