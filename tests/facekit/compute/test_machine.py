import platform
import subprocess
import sys

import pytest
import torch

from facekit.compute import machine, memory
from facekit.errors import DataError

# Counts the pages faulted in while a tensor of 64 MiB is made and freed ten times over.
COUNT_FAULTS = """
import resource
import torch
from facekit.compute import machine
if {tuned}:
    machine.tune(1)
for _ in range(20):  # until the heap has its holes
    torch.ones(1 << 24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.ones(1 << 24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(tuned: bool) -> int:
    code = COUNT_FAULTS.format(tuned=tuned)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="no glibc")
def test_freed_memory_is_used_again():
    assert page_faults(tuned=True) * 20 < page_faults(tuned=False)


def test_tune_sets_the_threads(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setattr(machine, "keep_memory", lambda: True)
    try:
        machine.tune(2)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_nothing_is_set_off_glibc(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(memory.ctypes, "CDLL", None)  # would fail if it were called
    assert machine.keep_memory() is False


def test_device_is_found(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert machine.find_device("auto") == machine.find_device("cpu") == torch.device("cpu")
    with pytest.raises(DataError, match="--device cuda: no CUDA device"):
        machine.find_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert machine.find_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(DataError, match="--device cuda:2: this machine has 2, the first is cuda:0"):
        machine.find_device("cuda:2")
    for name in ("gpu", "mps", "cuda:x", "cpu:1", "cuda:", ""):
        with pytest.raises(DataError, match=f"--device {name}: expected auto, cpu, cuda"):
            machine.find_device(name)
    assert machine.find_device("auto") == machine.find_device("cuda") == torch.device("cuda")
    assert machine.find_device("cpu") == torch.device("cpu")
