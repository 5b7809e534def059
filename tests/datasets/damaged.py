"""What becomes of a damaged set: an error that names its folder, or records that can be true."""

import numpy as np


def is_refused(open_set, root) -> bool:
    """Opens the set in folder `root`; False where it is read, and each record was looked at."""
    try:
        source = open_set()
    except (ValueError, FileNotFoundError) as error:
        assert str(root) in str(error)
        return True
    for index in range(len(source)):
        record = source[index]
        assert np.isfinite(record.boxes).all()
        ranked = np.sort(record.rank_class[record.rank_class >= 0])[::-1]
        np.testing.assert_array_equal(ranked, record.num_ranks - 1 - np.arange(len(ranked)))
    return False
