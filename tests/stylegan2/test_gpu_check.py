"""benchmarks/gpu_check.sh: its parts on a CPU, and what it says where one fails."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu_check.sh"
PARTS = {"cuda": ["compile", "tests", "fp16", "fp32", "resume"]}
PARTS["cpu"] = ["bf16" if name == "fp16" else name for name in PARTS["cuda"]]


def check(folder, *arguments, **variables):
    """Return exit code, and the table's rows: name, state, what is told."""
    done = subprocess.run(
        [SCRIPT, *arguments, folder], env={**os.environ, **variables}, capture_output=True
    )
    lines = (folder / "table.md").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:4]] for line in lines if line[:1] == "|"]
    return done.returncode, rows[2:]


def stub(path, text):
    """Write a program that stands for another one."""
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.mark.slow
def test_all_parts_pass_on_a_cpu(tmp_path):
    code, rows = check(tmp_path / "out", "--cpu", PYTHON=sys.executable)
    assert [row[:2] for row in rows] == [[name, "passed"] for name in PARTS["cpu"]]
    told = {name: text for name, _, text in rows}
    assert "s/kimg" in told["fp32"] and "bit for bit" in told["resume"]
    assert code == 0


def test_a_part_that_fails_is_a_row_and_the_others_still_run(tmp_path):
    python = stub(
        tmp_path / "python",
        'case "$*" in *fp32*) echo begun; echo "Error: too hot" >&2; exit 1 ;;'
        ' *tests*) echo nothing ;; *) echo "result: fine | well" ;; esac',
    )
    code, rows = check(tmp_path / "out", PYTHON=str(python))
    assert rows == [
        ["compile", "passed", "fine / well"],
        ["tests", "FAILED", "said nothing"],
        ["fp16", "passed", "fine / well"],
        ["fp32", "FAILED", "Error: too hot"],
        ["resume", "passed", "fine / well"],
    ]
    assert code == 1


def test_a_part_that_takes_too_long_is_stopped_and_all_limits_are_eight_minutes(tmp_path):
    limits = tmp_path / "limits"
    stub(tmp_path / "timeout", f'echo "$2" >> {limits}; exit 124')
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    code, rows = check(tmp_path / "out", PYTHON=str(stub(tmp_path / "python", "")), PATH=path)
    assert [row[0] for row in rows] == PARTS["cuda"] and code == 1
    each = [int(x) for x in limits.read_text(encoding="utf-8").split()]
    assert [row[2] for row in rows] == [f"took more than {limit} s" for limit in each]
    assert sum(each) < 480


def test_a_machine_without_a_gpu_is_said_in_one_line(tmp_path):
    command = [sys.executable, SCRIPT.with_name("gpu_parts.py"), "speed"]
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(SCRIPT.parents[1])}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("Error: ")
    assert "CUDA" in done.stderr.splitlines()[-1]
