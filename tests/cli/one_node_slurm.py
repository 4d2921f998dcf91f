"""A Slurm of one node in a temporary folder: munged, slurmctld and slurmd, started and ended with the test."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_PROGRAMS = ("srun", "sinfo", "squeue", "slurmctld", "slurmd", "munged")
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"  # the daemons lie where only root looks
_CONF = """\
ClusterName=one
SlurmctldHost={host}
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={controller}
SlurmdPort={node}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
NodeName={host} CPUs={cpus} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


class NoSlurm(Exception):
    """Why there is none here."""


@dataclass(frozen=True)
class Slurm:
    """A running one: its configuration file, and what waits or runs in it."""

    conf: Path

    def queue(self) -> str:
        """The jobs, one a line."""
        return _call("squeue", "--noheader", "--format=%j %T", conf=self.conf).strip()

    def until_running(self, seconds: float = 60) -> bool:
        """True once a job has a node."""
        return _until(lambda: "RUNNING" in self.queue(), seconds)

    def until_idle(self, seconds: float = 60) -> bool:
        """True once no job is left."""
        return _until(lambda: not self.queue(), seconds)


@contextmanager
def running(folder: Path) -> Iterator[Slurm]:
    """Slurm for as long as the block lasts. Raises NoSlurm with the reason where it can't run."""
    missing = [program for program in _PROGRAMS if shutil.which(program, path=_PATH) is None]
    if missing:
        raise NoSlurm(f"not installed: {', '.join(missing)} (Debian: slurm-wlm, munge)")
    if os.geteuid() != 0:
        raise NoSlurm("slurmd starts tasks as their users: only root can run one for a test")
    for name in ("state", "spool", "munge"):
        (folder / name).mkdir(mode=0o700)
    conf = folder / "slurm.conf"
    host = socket.gethostname().partition(".")[0]
    conf.write_text(
        _CONF.format(
            host=host, folder=folder, user="root", controller=_free_port(), node=_free_port(), cpus=os.cpu_count()
        )
    )
    try:
        _start(folder, conf)
        yield Slurm(conf)
    finally:
        for pid_file in ("slurmd.pid", "slurmctld.pid", "munge/pid"):
            with suppress(OSError, ValueError):
                os.kill(int((folder / pid_file).read_text()), signal.SIGTERM)


def _start(folder: Path, conf: Path) -> None:
    munge = folder / "munge"
    (munge / "key").write_bytes(os.urandom(1024))
    (munge / "key").chmod(0o400)
    files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    _call("munged", "--force", *(f"--{option}={munge / name}" for option, name in files.items()))
    _call("slurmctld", conf=conf)
    # The controller answers some moments after it has started, and then waits for its node.
    _until(lambda: bool(_call("sinfo", "--noheader", conf=conf)), 20)
    _call("slurmd", conf=conf)
    if not _until(lambda: "idle" in _call("sinfo", "--noheader", conf=conf), 30):
        said = "".join(log.read_text()[-600:] for log in folder.glob("*.log"))
        raise NoSlurm(f"slurmd did not become idle here: {said}")


def _call(program: str, *words: str, conf: Path | None = None) -> str:
    environment = {**os.environ, "PATH": _PATH, **({"SLURM_CONF": str(conf)} if conf else {})}
    done = subprocess.run([program, *words], capture_output=True, text=True, timeout=60, check=False, env=environment)
    return done.stdout


def _until(true: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("", 0))
        port: int = one.getsockname()[1]
        return port
