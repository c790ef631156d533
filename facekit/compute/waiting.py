"""How threads wait for each other, said before torch is loaded, which is when it is read."""

import os

# What says it to GNU's and to LLVM's and Intel's OpenMP.
VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
# Rounds that a thread of GNU's OpenMP spins before it sleeps: some microseconds. A GAN of 32 px on
# two threads took 2.7 s/kimg with 100,000 rounds, 3.5 with 2,000 and 5.6 asleep at once; beside one
# busy process 64, 6.7 and 5.2.
SPINS = 2000


def yield_cores() -> None:
    """Have threads of tensor operations that wait sleep soon, unless the environment says how.

    By default they spin: beside one other busy process each small operator then waits until the
    kernel lets the spinning thread's mate run, and a training takes many times as long. Threads
    that sleep at once are waked at each operator, which takes longer than a small one.
    """
    if not any(name in os.environ for name in VARIABLES):
        os.environ["GOMP_SPINCOUNT"] = str(SPINS)
        os.environ["KMP_BLOCKTIME"] = "0"  # milliseconds; LLVM's counts no rounds
