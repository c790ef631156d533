"""A Slurm of one node on this machine, for tests: Debian's `slurm-wlm` and `munge`, nothing else.

Its configuration, keys, states and logs lie in one folder, and no file of the system's is touched.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd")
COMMANDS = ("sbatch", "scancel", "sinfo", "squeue", "srun")
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"
START_SECONDS = 30

CONF = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
ReturnToService=2
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:1
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""
# A device that everybody has stands for the GPU: Slurm deals it out, and nothing computes on it.
GRES = "NodeName={host} Name=gpu File=/dev/null\n"


def lacking() -> str:
    """Say why no Slurm can be started here; nothing where it can."""
    missing = [name for name in DAEMONS if shutil.which(name, path=PATH) is None]
    if missing:
        return f"no {', '.join(missing)}: apt-get install slurm-wlm munge"
    return "" if os.geteuid() == 0 else "not root, as whom the daemons run here"


@contextmanager
def running(folder: Path) -> Iterator[dict[str, str]]:
    """Run a node, and yield the environment in which Slurm's commands find it.

    Args:
        folder: empty; a short path, since a socket's has at most 107 characters.
    """
    host = socket.gethostname().partition(".")[0]
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    folder.chmod(0o755)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * 9 // 10 // 2**20
    cpus = os.cpu_count() or 1
    text = CONF.format(host=host, ports=_free_ports(2), folder=folder, cpus=cpus, memory=memory)
    conf = folder / "slurm.conf"
    conf.write_text(text)
    (folder / "gres.conf").write_text(GRES.format(host=host))
    _wrap(folder / "bin", conf)
    env = {**os.environ, "SLURM_CONF": str(conf), "PATH": f"{folder}/bin:{PATH}"}
    commands = (
        ["munged", "--foreground", "--force", f"--key-file={key}",
         f"--socket={folder}/munge.socket", f"--pid-file={folder}/munge.pid",
         f"--seed-file={folder}/munge.seed", f"--log-file={folder}/munge.log"],
        ["slurmctld", "-D", "-i", "-L", f"{folder}/slurmctld.log"],
        ["slurmd", "-D", "-L", f"{folder}/slurmd.log"],
    )  # fmt: skip
    daemons: list[subprocess.Popen] = []
    try:
        for command in commands:
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            daemons.append(subprocess.Popen(command, env=env, **quiet))
            time.sleep(1)
        _wait_for_node(folder, env)
        yield env
    finally:
        for daemon in reversed(daemons):
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(timeout=30)


def _wrap(folder: Path, conf: Path) -> None:
    """Make commands that know the configuration also where its variable is taken from them.

    Within a job the executor plugin removes all variables of Slurm's.
    """
    folder.mkdir()
    for name in COMMANDS:
        path = folder / name
        path.write_text(f'#!/bin/sh\nSLURM_CONF={conf} exec /usr/bin/{name} "$@"\n')
        path.chmod(0o755)


def _wait_for_node(folder: Path, env: dict[str, str]) -> None:
    """Wait until the node takes jobs."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        told = subprocess.run(
            ["sinfo", "--noheader", "--format=%T"], env=env, capture_output=True, text=True
        )
        if told.stdout.strip() == "idle":
            return
        time.sleep(0.5)
    logs = "\n".join(path.read_text()[-2000:] for path in sorted(folder.glob("*.log")))
    raise RuntimeError(f"no idle node after {START_SECONDS} s: {told.stdout}{told.stderr}\n{logs}")


def _free_ports(num: int) -> list[int]:
    """Return ports that nothing listens on."""
    sockets = [socket.socket() for _ in range(num)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
