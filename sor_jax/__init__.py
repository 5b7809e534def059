"""Salient object ranking in JAX: find the objects of a photograph and say which is seen first."""
