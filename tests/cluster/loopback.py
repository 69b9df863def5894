"""A real Slurm cluster of two nodes on this machine, with its own daemons, keys, ports and user.

It needs no files in /etc.

If the tests run as root, the cluster and its jobs run as `nobody`. The only extra right is to read
what root can read, because the virtual environment may lie in root's home.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

NODES = ("n1", "n2")
DAEMONS = ("munged", "slurmctld", "slurmd", "sbatch")
CLIENTS = ("srun", "sbatch", "squeue", "scancel", "scontrol", "sinfo", "sacct")
SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# User and group id of nobody; the numbers are the same everywhere.
UNPRIVILEGED = 65534

# A node counts as lost after SlurmdTimeout. Without cgroups, Slurm enforces memory limits by
# polling. A job over its time limit has KillWait between SIGTERM and SIGKILL. The nodes claim more
# memory than the machine has, because only the memory that jobs request matters here. Clusters that
# run side by side have different ports, hence different job ids, by which processes are killed.
CONFIG = """\
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/run/munge.socket
CredType=cred/munge
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd.%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=1,sched_interval=2,bf_interval=5,sched_min_interval=100000
MpiDefault=none
SwitchType=switch/none
SlurmdParameters=config_overrides
MailProg=/bin/true
ReturnToService=2
MinJobAge=3600
KillWait=20
WaitTime=0
InactiveLimit=0
UnkillableStepTimeout=60
FirstJobId={first_job}
SlurmctldTimeout=10
SlurmdTimeout=10
NodeName=DEFAULT Sockets=1 CoresPerSocket=2 ThreadsPerCore=1 RealMemory=64000 State=UNKNOWN
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE DefaultTime=10 DefMemPerCPU=500 State=UP
"""


class Cluster:
    """The cluster, which runs from `start` to `stop`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "slurm.conf"

    def environment(self, **more: str) -> dict[str, str]:
        """Environment variables of a user of the cluster."""
        home = {"HOME": str(self.folder), "SLURM_CONF": str(self.config), "LANG": "C.UTF-8"}
        return {"PATH": f"{self.folder / 'bin'}:{SYSTEM}"} | home | more

    def command(self, *words: str | Path) -> list[str]:
        """A command line that runs as the cluster's user."""
        return [*_as_unprivileged(), *map(str, words)]

    def run(self, *words: str | Path, check: bool = True) -> str:
        """Run a command as a user of the cluster and return its output."""
        process = subprocess.run(
            self.command(*words), env=self.environment(), capture_output=True, text=True
        )
        if check and process.returncode:
            raise RuntimeError(f"{words}: {process.stderr}{process.stdout}")
        return process.stdout

    def start(self) -> None:
        """Start all daemons and wait until both nodes are idle.

        Clusters start one after another, so that no two choose the same ports.
        """
        with Path(__file__).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self._start_daemons()
            wait(lambda: set(self.states().values()) == {"idle"}, "both nodes idle")

    def _start_daemons(self) -> None:
        for name in ("run", "state", "log", "munge", "bin", *(f"spool/{n}" for n in NODES)):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "munge/munge.key").write_bytes(os.urandom(1024))
        self._write_config()
        self._write_clients()
        own(self.folder)
        (self.folder / "munge").chmod(0o700)
        (self.folder / "munge/munge.key").chmod(0o600)
        self.run(
            *["munged", f"--key-file={self.folder}/munge/munge.key", "--num-threads=2"],
            *[f"--socket={self.folder}/run/munge.socket", f"--pid-file={self._pid('munged')}"],
            *[f"--log-file={self.folder}/log/munged.log", "--force"],
            f"--seed-file={self.folder}/munge/munged.seed",
        )
        self.start_controller("-i")
        for node in NODES:
            self.start_node(node)

    def start_controller(self, *flags: str) -> None:
        """Start slurmctld, which recovers the jobs in its saved state."""
        self.run("slurmctld", "-f", self.config, *flags)

    def stop_controller(self) -> None:
        """Kill slurmctld, as a crash would."""
        _end(self._pid("slurmctld"), signal.SIGKILL)

    def start_node(self, node: str) -> None:
        """Start a node's slurmd."""
        self.run("slurmd", "-f", self.config, "-N", node)

    def crash_node(self, node: str) -> None:
        """Kill a node's slurmd and all its jobs."""
        _end(self._pid(f"slurmd.{node}"), signal.SIGKILL)
        for job in self.jobs(f"--nodelist={node}", "--states=running"):
            _kill_processes_of(job)

    def states(self) -> dict[str, str]:
        """The state of each node."""
        lines = self.run("sinfo", "-h", "-N", "-o", "%N %t", check=False).split("\n")
        return dict(line.split() for line in lines if line)

    def jobs(self, *flags: str) -> list[str]:
        """Ids of the jobs in the queue."""
        return self.run("squeue", "-h", "-o", "%i", *flags).split()

    def stop(self) -> None:
        """Cancel all jobs and stop all daemons."""
        self.run("scancel", "--user", str(_user()), check=False)
        for path in sorted((self.folder / "run").glob("*.pid"), reverse=True):
            _end(path, signal.SIGTERM)

    def _pid(self, daemon: str) -> Path:
        return self.folder / "run" / f"{daemon}.pid"

    def _write_config(self) -> None:
        host, port = socket.gethostname().partition(".")[0], _free_ports(1 + len(NODES))
        nodes = "\n".join(
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port + 1 + number}"
            for number, node in enumerate(NODES)
        )
        text = CONFIG.format(
            folder=self.folder,
            host=host,
            port=port,
            user=user_name(),
            first_job=100 * port,
            nodes=nodes,
        )
        self.config.write_text(text, encoding="utf-8")

    def _write_clients(self) -> None:
        """Write wrappers of Slurm's commands that set SLURM_CONF, which the plugin's jobs drop."""
        for name in CLIENTS:
            path = self.folder / "bin" / name
            real = shutil.which(name, path=SYSTEM)
            path.write_text(f'#!/bin/sh\nSLURM_CONF={self.config} exec {real} "$@"\n')
            path.chmod(0o755)


def missing() -> list[str]:
    """Slurm programs that this machine lacks."""
    return [name for name in DAEMONS if shutil.which(name, path=SYSTEM) is None]


def own(folder: Path) -> None:
    """Make the cluster's user the owner of a folder and its contents."""
    if _user() == UNPRIVILEGED:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, UNPRIVILEGED, UNPRIVILEGED, follow_symlinks=False)


def wait(met: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Wait until a condition is met."""
    until = time.monotonic() + seconds
    while not met():
        if time.monotonic() > until:
            raise TimeoutError(f"not within {seconds} s: {what}")
        time.sleep(0.2)


@cache
def _as_unprivileged() -> list[str]:
    """The prefix that runs a command as nobody; empty if that is impossible or needless."""
    if os.geteuid() != 0:
        return []
    who = [f"--reuid={UNPRIVILEGED}", f"--regid={UNPRIVILEGED}", "--clear-groups"]
    command = ["setpriv", *who, "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    can = shutil.which("setpriv") and subprocess.run([*command, "true"]).returncode == 0
    return command if can else []


def _user() -> int:
    return UNPRIVILEGED if _as_unprivileged() else os.geteuid()


def user_name() -> str:
    """The name of the user that runs the cluster and its jobs."""
    return pwd.getpwuid(_user()).pw_name


def _free_ports(count: int) -> int:
    """The first of `count` consecutive free ports."""
    for first in range(17800, 30000, 20):
        if all(_is_free(first + n) for n in range(count)):
            return first
    raise RuntimeError("no free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _end(pid_file: Path, number: signal.Signals) -> None:
    """Signal a daemon and wait until it is gone."""
    try:
        pid = int(pid_file.read_text())
        os.kill(pid, number)
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return
    wait(lambda: not _is_alive(pid), f"process {pid} gone", 30)
    pid_file.unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _kill_processes_of(job: str) -> None:
    """Kill all processes of a job, its step daemons first."""
    for pid in _processes(lambda pid: b"slurmstepd: [" + job.encode() + b"." in _words(pid)):
        _kill(pid)
    named = b"SLURM_JOB_ID=" + job.encode()
    for pid in _processes(lambda pid: named in _environment(pid)):
        _kill(pid)


def _processes(matches: Callable[[int], bool]) -> list[int]:
    numbers = (path.name for path in Path("/proc").iterdir() if path.name.isdigit())
    return [pid for pid in map(int, numbers) if matches(pid)]


def _words(pid: int) -> bytes:
    return _read(f"/proc/{pid}/cmdline")


def _environment(pid: int) -> list[bytes]:
    return _read(f"/proc/{pid}/environ").split(b"\0")


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
