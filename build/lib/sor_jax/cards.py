"""A model's card in words, for the terminal and for the page."""

import os

from sor_jax.checkpoints.exported import read_card


def describe(folder: str | os.PathLike) -> str:
    """What is known of the weights of a folder: what they are, how good, what they are bad at."""
    card = read_card(folder)
    size = f"{card['parameters'] / 1e6:.1f} million parameters, {card['bytes'] / 1e6:.1f} MB"
    lines = [f"{card['name']}: {card['summary']}", f"  {size}"]
    for title, key in (
        ("trained on", "trained_on"),
        ("command", "command"),
        ("scores", "scores"),
        ("bad at", "bad_at"),
        ("licence", "licence"),
    ):
        values = card.get(key) or []
        values = [values] if isinstance(values, str) else values
        lines += [f"  {title}: {values[0]}"] * bool(values) + [f"    {v}" for v in values[1:]]
    return "\n".join(lines)
