import jax.numpy as jnp
import numpy as np

from sor_jax.ops.coords import coordinate_maps, inside


def test_cell_centres_as_shares_of_the_photograph():
    got = coordinate_maps(jnp.array([[40, 64]]), (6, 9), 8)[0]
    for i in range(6):
        for j in range(9):
            np.testing.assert_allclose(got[i, j], [(4 + 8 * i) / 40, (4 + 8 * j) / 64], rtol=1e-6)


def test_a_cell_is_inside_when_it_begins_inside():
    got = inside(jnp.array([[33, 64], [1, 1]]), (6, 9), 8)[..., 0]
    expected = np.zeros((2, 6, 9), bool)
    expected[0, :5, :8] = True
    expected[1, 0, 0] = True
    np.testing.assert_array_equal(got, expected)


def test_a_filler_of_no_size_stays_finite():
    assert np.isfinite(coordinate_maps(jnp.array([[0, 0]]), (2, 2), 8)).all()
