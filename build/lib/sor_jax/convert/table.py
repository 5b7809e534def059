"""The printed table of a conversion."""

import collections

from sor_jax.convert.fit import FILLED, MAPPED, NO_PLACE, STATUSES, UNUSED, Entry, Fit

_MANY = 5  # arrays of one kind from which on a line names them together


def table(result: Fit) -> str:
    """A line for each status with its count, and under it the arrays.

    The mapped ones are counted by part; a whole part of the model that shares a status and a
    reason takes one line, and so do the counters of batch norms.
    """
    sizes = _counts(entry for entry in result.entries if entry.status != UNUSED)
    lines = []
    for status in STATUSES:
        entries = result.of(status)
        if status == FILLED and not entries:
            continue
        counts = ", ".join(f"{name} {count}" for name, count in sorted(_counts(entries).items()))
        lines.append(f"{status:15}{len(entries):5}  {counts}".rstrip())
        if status != MAPPED:
            lines += [f"{'':15}{line}" for line in _lines(entries, sizes)]
    return "\n".join(lines)


def part(path: str) -> str:
    """The part of the model that a path leads to: params/mask/conv1/bias -> mask."""
    return path.split("/")[1]


def _counts(entries):
    return collections.Counter(part(entry.ours) for entry in entries if entry.ours)


def _lines(entries: list[Entry], sizes):
    groups = collections.defaultdict(list)
    for entry in entries:
        alike = not (entry.ours and entry.theirs) and entry.note != NO_PLACE
        groups[(part(entry.ours) if entry.ours else "", entry.note) if alike else entry].append(
            entry
        )
    for group in groups.values():
        first = group[0]
        whole = not first.ours or len(group) == sizes[part(first.ours)]
        if len(group) < _MANY or not whole:
            yield from map(_named, group)
        elif first.ours:
            yield _told(f"{part(first.ours)}/*, {len(group)} arrays", first.note)
        else:
            yield _told(f"{first.theirs} and {len(group) - 1} more", first.note)


def _named(entry):
    arrow = " <- " if entry.ours and entry.theirs else ""
    return _told(f"{entry.ours}{arrow}{entry.theirs}", entry.note)


def _told(name, note):
    return f"{name}: {note}" if note else name
