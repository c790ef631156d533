"""How threads wait for each other, said before torch is loaded, which is when it is read."""

import os

# What says it to GNU's and to LLVM's and Intel's OpenMP.
VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def yield_cores() -> None:
    """Have threads of tensor operations that wait sleep, unless the environment says how they wait.

    By default they spin: beside one other busy process each small operator then waits until the
    kernel lets the spinning thread's mate run, and a training takes many times as long.
    """
    if not any(name in os.environ for name in VARIABLES):
        os.environ["OMP_WAIT_POLICY"] = "passive"
