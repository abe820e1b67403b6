"""The supervisors that are measured: how their services are written and how they are talked to.

Each restarts whatever ends, paced as it does unless told otherwise, and captures its services' output
in files that rotate at 10 MB, of which it keeps ten.
"""

import os
import signal


class Peer:
    """One supervisor, with all that it needs under `home`."""

    needs = []  # programs on PATH
    stop_signal = signal.SIGTERM

    def __init__(self, home, release):
        self.home, self.release = home, release

    def log_dir(self, name):
        return self.home / "log" / name

    def put(self, path, text, mode=0o644):
        path = self.home / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def written(self):
        """All services have been written."""


class Mattervisor(Peer):
    def write(self, name, argv):
        words = ", ".join(f'"{word}"' for word in argv)
        text = f"command = [{words}]\n[log]\nsize = \"10M\"\nkeep = 10\n"
        self.put(f"etc/mattervisor/services.d/{name}.toml", text)

    def written(self):
        self.put("etc/mattervisor/mattervisor.toml", "", 0o600)
        (self.home / "catalogue").mkdir()

    def log_dir(self, name):
        return self.home / "var/log/mattervisor" / name

    def start(self):
        return [self.release / "mattervisord", "--root", self.home, "--catalog", self.home / "catalogue"]

    def status(self, *names):
        return [self.release / "ctl", "--root", self.home, "status", *names]

    def restart(self, name):
        return [self.release / "ctl", "--root", self.home, "restart", name]


class Runit(Peer):
    needs = ["runsvdir", "sv", "svlogd"]
    stop_signal = signal.SIGHUP

    def write(self, name, argv):
        # The program itself as interpreter of the run file would be faster still, and nobody does it.
        self.put(f"sv/{name}/run", f"#!/bin/sh\nexec {' '.join(map(str, argv))}\n", 0o755)
        self.log_dir(name).mkdir(parents=True)
        self.put(f"log/{name}/config", "s10000000\nn10\n")
        self.put(f"sv/{name}/log/run", f"#!/bin/sh\nexec svlogd {self.log_dir(name)}\n", 0o755)

    def written(self):
        os.utime(self.home / "sv", (1, 1))  # it waits a second when that has just been changed

    def start(self):
        return ["runsvdir", "-P", self.home / "sv"]

    def status(self, *names):
        return ["sv", "status", *(self.home / "sv" / name for name in names or sorted(os.listdir(self.home / "sv")))]

    def restart(self, name):
        return ["sv", "restart", self.home / "sv" / name]


class S6(Peer):
    needs = ["s6-svscan", "s6-svc", "s6-svstat", "s6-log"]

    def write(self, name, argv):
        self.put(f"sv/{name}/run", f"#!/bin/sh\nexec {' '.join(map(str, argv))}\n", 0o755)
        self.log_dir(name).mkdir(parents=True)
        self.put(f"sv/{name}/log/run", f"#!/bin/sh\nexec s6-log n10 s10000000 {self.log_dir(name)}\n", 0o755)

    def start(self):
        return ["s6-svscan", "-c", "2200", "-t", "0", self.home / "sv"]

    def status(self, *names):
        which = " ".join(names) or "*"
        return ["sh", "-c", f"cd {self.home}/sv && for one in {which}; do s6-svstat $one; done"]

    def restart(self, name):
        return ["s6-svc", "-wr", "-r", self.home / "sv" / name]


class Supervisord(Peer):
    needs = ["supervisord", "supervisorctl"]

    def write(self, name, argv):
        self.log_dir(name).mkdir(parents=True)
        path = self.home / "programs"
        with path.open("a") as file:
            file.write(
                f"[program:{name}]\ncommand={' '.join(map(str, argv))}\nautorestart=true\nstartsecs=0\nredirect_stderr=true\n"
                f"stdout_logfile={self.log_dir(name)}/current\nstdout_logfile_maxbytes=10MB\nstdout_logfile_backups=10\n"
            )

    def written(self):
        self.put(
            "supervisord.conf",
            f"[unix_http_server]\nfile={self.home}/sock\n[supervisorctl]\nserverurl=unix://{self.home}/sock\n"
            f"[supervisord]\nnodaemon=true\nlogfile={self.home}/main.log\npidfile={self.home}/pid\nminfds=8192\n"
            "[rpcinterface:supervisor]\n"
            "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n"
            + (self.home / "programs").read_text(),
        )

    def start(self):
        return ["supervisord", "-c", self.home / "supervisord.conf"]

    def status(self, *names):
        return ["supervisorctl", "-c", self.home / "supervisord.conf", "status", *names]

    def restart(self, name):
        return ["supervisorctl", "-c", self.home / "supervisord.conf", "restart", name]


PEERS = {"mattervisor": Mattervisor, "runit": Runit, "s6": S6, "supervisord": Supervisord}
