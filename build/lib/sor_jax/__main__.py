"""`python -m sor_jax` is `sor-jax`."""

import sys

from sor_jax.cli import main

sys.exit(main())
