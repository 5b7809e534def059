"""Ranks from where people looked: fixations and objects in, a ranked data set out.

Photographs (photographs.py) and fixations (looks.py; tables.py and maps.py read them) meet in
objects.py; protocols.py makes scores and ranks of it, agreement.py says how far people and
protocols agree, ranked_set.py writes the set. `data/rank_from_fixations.py` is the command.
"""
