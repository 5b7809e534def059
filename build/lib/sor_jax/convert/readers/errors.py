"""What goes wrong with files that others wrote."""


class CheckpointError(ValueError):
    """A checkpoint cannot be read, or must not be; says which file, what is wrong, what to do."""
