"""Which instructions oneDNN may take, said before torch is loaded."""

import os

VARIABLE = "ONEDNN_MAX_CPU_ISA"
# With AMX a classifier's first epoch in bf16 ended in NaN in about half of the runs (torch 2.14.1,
# the same images and seed); without it in none.
BEST = "AVX512_CORE_BF16"


def keep_from_amx() -> None:
    """Have convolutions computed without AMX's tiles, unless the environment says what may be."""
    os.environ.setdefault(VARIABLE, BEST)
