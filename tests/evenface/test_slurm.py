"""The pipeline on a real Slurm of one node, by the profile that is shipped."""

import json
import re
import subprocess
import tempfile
from pathlib import Path

import pytest
import slurm
from projects import ENVIRONMENT, ROOT, SNAKEMAKE, TEST, copy_project

PROFILE = ROOT / "profiles/slurm"
# What a node of a test can do without: accounts, a database of them, and patience.
QUICK = [
    *("--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "3"),
    *("--latency-wait", "5", "--max-threads", "2", "--jobs", "4"),
]


@pytest.mark.slow
@pytest.mark.skipif(bool(slurm.lacking()), reason=slurm.lacking() or "it runs")
def test_stages_run_on_a_cluster(tmp_path):
    project = copy_project(tmp_path)
    with (
        tempfile.TemporaryDirectory(prefix="slurm") as folder,
        slurm.running(Path(folder)) as env,
    ):
        env = {**ENVIRONMENT, **env, "PATH": f"{folder}/bin:{ENVIRONMENT['PATH']}"}
        arguments = ["--workflow-profile", str(PROFILE), *QUICK, "split", *TEST]
        done = subprocess.run(
            [*SNAKEMAKE, *arguments],
            env=env,
            cwd=project,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    assert done.returncode == 0, done.stdout
    submitted = re.findall(r"Job \d+ has been submitted with SLURM jobid \d+", done.stdout)
    assert len(submitted) == 9, done.stdout  # every rule with a command
    assert (project / "results/test/round0/splits.parquet").is_file()
    # What the profile says of a rule reached it: threads of the node, memory and time.
    found = re.search(r"rule inspect:.*?resources: ([^\n]*)", done.stdout, flags=re.DOTALL)
    assert {"mem_mb=16000", "runtime=240"} <= set(found[1].split(", "))
    faces = re.search(r"rule faces:.*?resources: ([^\n]*)", done.stdout, flags=re.DOTALL)
    assert "gpu=1" in faces[1].split(", ")
    record = json.loads((project / "results/test/faces.run.json").read_text())
    assert record["values"]["threads"] == 2
