"""What goes wrong with files that others wrote."""

from sor_jax.pickles import UnreadableError

CheckpointError = UnreadableError
"""A checkpoint cannot be read, or must not be; says which file, what is wrong, what to do."""
