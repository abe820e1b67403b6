#!/usr/bin/env python3
"""Measures the supervisor, and the others of its kind that are installed, side by side.

    bench.py [-n SERVICES] [--bin DIR] [--only NAME,NAME]

Each runs the same N services, which only sleep, from a directory of its own under a temporary one;
nothing else is touched, and all that was started is ended. runit, s6 and supervisord are measured
where they are on PATH. The numbers depend on the machine and on what else it does: compare
columns of one run, not runs. Python's standard library is all that is needed.
"""

import argparse
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

LOOKS = 20  # of status
TRIES = 5  # of restart and of crash
IDLE_SECONDS = 5
LOG_LINES = 1_000_000
LOG_LINE = "x" * 99
PATIENCE = 60  # seconds, for anything


class Peer:
    """One supervisor: how its services are written and how it is talked to."""

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


class Mattervisor(Peer):
    needs = []

    def write(self, name, script):
        self.put("etc/mattervisor/mattervisor.toml", "", 0o600)
        (self.home / "catalogue").mkdir(exist_ok=True)
        text = f'command = ["{script}"]\n[restart]\ndelay = "0s"\nmax_delay = "0s"\n'
        self.put(f"etc/mattervisor/services.d/{name}.toml", text)

    def log_dir(self, name):
        return self.home / "var/log/mattervisor" / name

    def start(self):
        return [self.release / "supervisor", "--root", self.home, "--catalog", self.home / "catalogue"]

    def status(self, *names):
        return [self.release / "ctl", "--root", self.home, "status", *names[:1]]

    def restart(self, name):
        return [self.release / "ctl", "--root", self.home, "restart", name]


class Runit(Peer):
    needs = ["runsvdir", "sv", "svlogd"]
    stop_signal = signal.SIGHUP

    def write(self, name, script):
        self.put(f"sv/{name}/run", f"#!/bin/sh\nexec {script}\n", 0o755)
        self.log_dir(name).mkdir(parents=True)
        self.put(f"sv/{name}/log/run", f"#!/bin/sh\nexec svlogd {self.log_dir(name)}\n", 0o755)
        os.utime(self.home / "sv", (1, 1))  # it waits a second when that has just been changed

    def start(self):
        return ["runsvdir", "-P", self.home / "sv"]

    def status(self, *names):
        return ["sv", "status", *(self.home / "sv" / name for name in names or sorted(os.listdir(self.home / "sv")))]

    def restart(self, name):
        return ["sv", "restart", self.home / "sv" / name]


class S6(Peer):
    needs = ["s6-svscan", "s6-svc", "s6-svstat", "s6-log"]

    def write(self, name, script):
        self.put(f"sv/{name}/run", f"#!/bin/sh\nexec {script}\n", 0o755)
        self.log_dir(name).mkdir(parents=True)
        self.put(f"sv/{name}/log/run", f"#!/bin/sh\nexec s6-log n10 s10000000 {self.log_dir(name)}\n", 0o755)

    def start(self):
        return ["s6-svscan", "-c", "2200", "-t", "0", self.home / "sv"]

    def status(self, *names):
        which = " ".join(names) or "*"
        return ["sh", "-c", f"cd {self.home}/sv && for one in {which}; do s6-svstat $one; done"]

    def restart(self, name):
        return ["s6-svc", "-r", self.home / "sv" / name]


class Supervisord(Peer):
    needs = ["supervisord", "supervisorctl"]

    def write(self, name, script):
        config = self.home / "supervisord.conf"
        if not config.exists():
            self.put(
                config,
                f"[unix_http_server]\nfile={self.home}/sock\n[supervisorctl]\nserverurl=unix://{self.home}/sock\n"
                f"[supervisord]\nnodaemon=true\nlogfile={self.home}/main.log\npidfile={self.home}/pid\nminfds=8192\n"
                "[rpcinterface:supervisor]\n"
                "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n",
            )
        self.log_dir(name).mkdir(parents=True)
        with config.open("a") as file:
            file.write(
                f"[program:{name}]\ncommand={script}\nautorestart=true\nstartsecs=0\nredirect_stderr=true\n"
                f"stdout_logfile={self.log_dir(name)}/current\nstdout_logfile_maxbytes=10MB\nstdout_logfile_backups=10\n"
            )

    def start(self):
        return ["supervisord", "-c", self.home / "supervisord.conf"]

    def status(self, *names):
        return ["supervisorctl", "-c", self.home / "supervisord.conf", "status", *names]

    def restart(self, name):
        return ["supervisorctl", "-c", self.home / "supervisord.conf", "restart", name]


PEERS = {"mattervisor": Mattervisor, "runit": Runit, "s6": S6, "supervisord": Supervisord}


class Session:
    """A supervisor with its services, from the first file to the last process."""

    def __init__(self, peer, count, log_source):
        self.peer, self.names = peer, [f"sleep-{number}" for number in range(count)]
        self.pids, self.dead = peer.home / "pids", peer.home / "no-more"
        self.pids.mkdir()
        for name in self.names:
            self.write(name, "exec sleep infinity")
        # Does nothing until told to.
        self.go = peer.home / "go"
        os.mkfifo(self.go)
        if log_source:
            self.write("writer", f"read -r word <{self.go}\ncat {log_source}\nexec sleep infinity")
        self.expected = {*self.names, *(["writer"] if log_source else [])}
        self.process = None

    def write(self, name, text):
        # The new file appears whole, so that whoever sees it reads a pid.
        note = f'echo $$ >"{self.pids}/{name}.new" && mv "{self.pids}/{name}.new" "{self.pids}/{name}"'
        self.peer.put(f"scripts/{name}", f"#!/bin/sh\n{note}\n{text}\n", 0o755)
        self.peer.write(name, self.peer.home / "scripts" / name)

    def pid(self, name):
        return int((self.pids / name).read_text())

    def boot(self):
        output = (self.peer.home / "output").open("w")
        begin = time.monotonic()
        self.process = subprocess.Popen(
            [str(word) for word in self.peer.start()],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={"PATH": os.environ["PATH"]},
            start_new_session=True,
        )
        wait_for(lambda: self.expected <= set(os.listdir(self.pids)))
        return ms_since(begin)

    def client(self, argv):
        begin = time.monotonic()
        subprocess.run([str(word) for word in argv], capture_output=True, timeout=PATIENCE, check=False)
        return ms_since(begin)

    def replaced(self, name, act):
        """Time from what `act` does to a new process of the service."""
        time.sleep(1.1)  # runit and s6 do not start one again in its first second
        old, begin = self.pid(name), time.monotonic()
        act(old)
        wait_for(lambda: self.pid(name) != old)
        return ms_since(begin)

    def own(self):
        """The supervisor's own processes: its descendants but the services'."""
        children = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit() and (parent := stat_of(int(entry))) is not None:
                children.setdefault(parent, []).append(int(entry))
        services = {self.pid(name) for name in self.expected}
        found, todo = [], [self.process.pid]
        while todo:
            pid = todo.pop()
            if pid not in services:
                found.append(pid)
                todo += children.get(pid, [])
        return found

    def memory_kb(self):
        return sum(field(f"/proc/{pid}/smaps_rollup", "Pss:") for pid in self.own())

    def wakeups(self):
        threads = [thread for pid in self.own() for thread in pathlib.Path(f"/proc/{pid}/task").iterdir()]
        return sum(field(thread / "status", "voluntary_ctxt_switches:") for thread in threads)

    def log_mb_per_second(self):
        last = f"end {LOG_LINES}".encode()
        begin = time.monotonic()
        self.go.write_text("go\n")
        wait_for(lambda: newest_ends_with(self.peer.log_dir("writer"), last))
        return LOG_LINES * (len(LOG_LINE) + 1) / 1e6 / (time.monotonic() - begin)

    def stop(self):
        begin = time.monotonic()
        self.process.send_signal(self.peer.stop_signal)
        everything = [self.pid(name) for name in self.expected]
        wait_for(lambda: self.process.poll() is not None and not any(map(alive, everything)))
        return ms_since(begin)

    def close(self):
        """Ends what is still there, if a measurement failed."""
        if self.process is None or self.process.poll() is not None:
            return
        for pid in self.own():
            kill(pid)
        for name in os.listdir(self.pids):
            kill(self.pid(name))
        self.process.wait()


def ms_since(begin):
    return (time.monotonic() - begin) * 1000


def wait_for(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"nothing for {PATIENCE} s")
        time.sleep(0.0005)


def stat_of(pid):
    """Parent of a process, or None."""
    try:
        return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return None


def field(path, name):
    try:
        lines = pathlib.Path(path).read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(name)), 0)


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def newest_ends_with(directory, mark):
    for path in directory.glob("*"):
        try:
            with path.open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - 256))
                if mark in file.read(256):
                    return True
        except OSError:  # rotated away, or a directory
            continue
    return False


def measure(peer, count, log_source):
    """All rows of one column."""
    session = Session(peer, count, log_source)
    first, last = session.names[0], session.names[-1]
    try:
        rows = {f"start of {count} services, ms": session.boot()}
        time.sleep(1.5)
        rows["memory of its own (PSS), KB"] = session.memory_kb()
        rows["status of one, ms"] = median(session.client(peer.status(first)) for _ in range(LOOKS))
        rows["status of all, ms"] = median(session.client(peer.status()) for _ in range(LOOKS))
        rows["restart to new process, ms"] = median(
            session.replaced(last, lambda _: session.client(peer.restart(last))) for _ in range(TRIES)
        )
        rows["SIGKILL to new process, ms"] = median(session.replaced(first, kill) for _ in range(TRIES))
        time.sleep(1.5)
        before = session.wakeups()
        time.sleep(IDLE_SECONDS)
        rows[f"wake-ups in {IDLE_SECONDS} s idle"] = session.wakeups() - before
        rows["log of one, MB/s"] = session.log_mb_per_second()
        rows["stop of all, ms"] = session.stop()
        return rows
    finally:
        session.close()


def median(values):
    return statistics.median(values)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=100, help="number of services (100)")
    parser.add_argument("--bin", type=pathlib.Path, required=True, help="directory of the binaries supervisor and ctl")
    parser.add_argument("--only", help="names, separated by commas: " + ", ".join(PEERS))
    args = parser.parse_args()
    wanted = args.only.split(",") if args.only else list(PEERS)
    columns = {}
    with tempfile.TemporaryDirectory(prefix="mattervisor-bench-") as work:
        source = pathlib.Path(work) / "lines"
        source.write_text(f"{LOG_LINE}\n" * (LOG_LINES - 1) + f"end {LOG_LINES}\n")
        for name in wanted:
            kind = PEERS[name]
            if not all(map(shutil.which, kind.needs)):
                print(f"bench: no {name} here: left out", file=sys.stderr)
                continue
            home = pathlib.Path(work) / name
            home.mkdir()
            print(f"bench: {name}", file=sys.stderr)
            try:
                columns[name] = measure(kind(home, args.bin.absolute()), args.n, source)
            except (TimeoutError, subprocess.TimeoutExpired, OSError) as error:
                print(f"bench: {name} failed: {error!r}; see its output:", file=sys.stderr)
                sys.stderr.write((home / "output").read_text()[-2000:] if (home / "output").exists() else "")
    if not columns:
        sys.exit(1)
    rows = list(next(iter(columns.values())))
    print(f"{'':32}" + "".join(f"{name:>14}" for name in columns))
    for row in rows:
        print(f"{row:32}" + "".join(f"{column[row]:>14.{1 if column[row] < 100 else 0}f}" for column in columns.values()))
    sys.exit(0 if len(columns) == len([name for name in wanted if all(map(shutil.which, PEERS[name].needs))]) else 1)


if __name__ == "__main__":
    main()
