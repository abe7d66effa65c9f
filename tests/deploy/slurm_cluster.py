"""A real Slurm of one node, on loopback, as processes of this user: munged, slurmctld and slurmd."""

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from slurm_stand_ins import wait_for

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol")
PATHS = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"

CONFIG = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={daemon}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=256 RealMemory=2000000 Gres=gpu:8 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def what_is_missing():
    """Why there can be no cluster here; "" when there can."""
    lacking = [name for name in PROGRAMS if shutil.which(name, path=PATHS) is None]
    if lacking:
        return f"no {', '.join(lacking)}: apt-get install slurmctld slurmd slurm-client munge"
    return "" if os.geteuid() == 0 else "slurmd wants to be root"


class Cluster:
    """The three daemons, alive inside the `with` block; the node claims eight GPUs, and more cores than there are."""

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            # Short, as sockets' paths must be, and open to nobody else, as munged wants it.
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="slurm-")))
            self._stack = stack
            self._start()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        with contextlib.suppress(AssertionError):
            self.run("scancel", "--user=root")
            wait_for(lambda: not self.run("squeue", "--noheader"), "an empty queue")
        self._stack.close()

    def _start(self):
        host = socket.gethostname().partition(".")[0]
        with contextlib.ExitStack() as ports:
            taken = [ports.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
            controller, daemon = (one.getsockname()[1] for one in taken)
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        for number in range(8):
            (self.folder / f"gpu{number}").touch()
        (self.folder / "gres.conf").write_text(f"Name=gpu File={self.folder}/gpu[0-7]\n")
        config = self.folder / "slurm.conf"
        config.write_text(CONFIG.format(host=host, folder=self.folder, controller=controller, daemon=daemon))
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o600)
        self.environment = {**os.environ, "PATH": PATHS, "SLURM_CONF": str(config)}
        # --force: it does not like a temporary folder.
        munge = [
            f"--{name}={self.folder}/munge.{name.partition('-')[0]}" for name in ("key-file", "socket", "pid-file")
        ]
        munge += [f"--log-file={self.folder}/munge.log", f"--seed-file={self.folder}/munge.seed"]
        self._daemon("munged", "--foreground", "--force", *munge)
        wait_for((self.folder / "munge.socket").exists, "munged")
        self._daemon("slurmctld", "-D", "-f", str(config))
        self._daemon("slurmd", "-D", "-f", str(config), "-N", host)
        wait_for(lambda: "idle" in self.run("sinfo", "--noheader"), "an idle node")

    def _daemon(self, program, *words):
        log = self._stack.enter_context((self.folder / f"{program}.out").open("wb"))
        process = subprocess.Popen(
            [shutil.which(program, path=PATHS), *words], stdout=log, stderr=log, env=self.environment
        )
        self._stack.callback(self._end, process)

    @staticmethod
    def _end(process):
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def run(self, program, *words, cwd=None, check=False, **variables):
        """What one of Slurm's commands says."""
        asked = subprocess.run(
            [program, *map(str, words)],
            capture_output=True,
            text=True,
            cwd=cwd,
            check=False,
            timeout=60,
            env={**self.environment, **variables},
        )
        assert not check or asked.returncode == 0, asked.stderr
        return asked.stdout.strip()

    def state(self, job):
        """The states of a job's tasks, as scontrol has them, each once."""
        words = self.run("scontrol", "show", "job", job).split()
        return {word.partition("=")[2] for word in words if word.startswith("JobState=")}
