"""One supervisor with its services, from the first file to the last process.

Owner of all that it starts: whatever happens, `close` ends it. A service's times are those that the
child itself took (`benchchild`), so that what the benchmark does in between does not count.
"""

import os
import pathlib
import select
import signal
import subprocess
import time

LIMIT = 120  # seconds, for anything


class Session:
    def __init__(self, peer, child, services):
        """`services`: mode of the child by name of the service."""
        self.peer, self.names = peer, list(services)
        self.records, self.read = peer.home / "records", 0
        self.records.touch()
        self.last = {}  # name -> (pid, nanoseconds) of its newest life
        self.lives = 0
        self.process = None
        for name, mode in services.items():
            peer.write(name, [child, self.records, name, mode])
        peer.written()

    def look(self):
        with self.records.open("rb") as file:
            file.seek(self.read)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self.read += len(whole)
        for line in whole.split(b"\n")[:-1]:
            name, pid, at = line.split()
            self.last[name.decode()] = (int(pid), int(at))
            self.lives += 1

    def wait(self, condition):
        end = time.monotonic() + LIMIT
        while True:
            self.look()
            if condition():
                return
            if time.monotonic() > end:
                raise TimeoutError(f"nothing for {LIMIT} s")
            time.sleep(0.001)

    def boot(self):
        """Milliseconds from the start of the supervisor to the last child's first instruction."""
        with (self.peer.home / "output").open("w") as output:
            begin = time.monotonic_ns()
            self.process = subprocess.Popen(
                words(self.peer.start()),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={"PATH": os.environ["PATH"]},
                start_new_session=True,
            )
        self.wait(lambda: len(self.last) == len(self.names))
        return (max(at for _, at in self.last.values()) - begin) / 1e6

    def client(self, argv):
        """Milliseconds until a client has returned."""
        begin = time.monotonic_ns()
        process = spawn(argv)
        pidfd = os.pidfd_open(process)
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        done = poll.poll(LIMIT * 1000)
        end = time.monotonic_ns()
        os.close(pidfd)
        if not done:
            os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        if not done:
            raise TimeoutError(f"the client hangs: {words(argv)}")
        return (end - begin) / 1e6

    def replaced(self, name, act, lived=1.3):
        """Milliseconds from what `act` does to the first instruction of the next life."""
        self.let_live(name, lived)
        pid, before = self.last[name]
        begin = time.monotonic_ns()
        rest = act(pid)
        self.wait(lambda: self.last[name][1] > before)
        return (self.last[name][1] - begin) / 1e6, rest

    def let_live(self, name, seconds):
        left = seconds - (time.monotonic_ns() - self.last[name][1]) / 1e9
        if left > 0:
            time.sleep(left)

    def own(self):
        """The supervisor's own processes: its descendants but the services'."""
        children = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit() and (parent := parent_of(int(entry))) is not None:
                children.setdefault(parent, []).append(int(entry))
        services = {pid for pid, _ in self.last.values()}
        found, todo = [], [self.process.pid]
        while todo:
            pid = todo.pop()
            if pid not in services and program_of(pid) != "benchchild":
                found.append(pid)
                todo += children.get(pid, [])
        return found

    def memory_kb(self):
        return sum(field(f"/proc/{pid}/smaps_rollup", "Pss:") for pid in self.own())

    def effort(self):
        """Nanoseconds of CPU and voluntary waits so far, by thread of its own processes."""
        found = {}
        for pid in self.own():
            for thread in listed(f"/proc/{pid}/task"):
                try:
                    cpu = int((thread / "schedstat").read_text().split()[0])
                except OSError:
                    continue
                found[thread.name] = (cpu, field(thread / "status", "voluntary_ctxt_switches:"))
        return found

    def spent(self, before):
        """CPU seconds and wake-ups since an earlier `effort`."""
        cpu = wakeups = 0
        for thread, (ns, waits) in self.effort().items():
            old_ns, old_waits = before.get(thread, (0, 0))
            cpu += ns - old_ns
            wakeups += waits - old_waits
        return cpu / 1e9, wakeups

    def stop(self):
        """Milliseconds until the supervisor and all services have gone."""
        everything = [pid for pid, _ in self.last.values()]
        begin = time.monotonic_ns()
        self.process.send_signal(self.peer.stop_signal)
        self.process.wait(LIMIT)
        end = time.monotonic() + LIMIT
        while any(map(alive, everything)):
            if time.monotonic() > end:
                raise TimeoutError("services outlive their supervisor")
        return (time.monotonic_ns() - begin) / 1e6

    def close(self):
        if self.process is None or self.process.poll() is not None:
            return
        self.look()
        for pid in self.own():
            kill(pid)
        for pid, _ in self.last.values():
            if program_of(pid) == "benchchild":
                kill(pid)
        self.process.wait()


def words(argv):
    return [str(word) for word in argv]


def spawn(argv):
    """Faster, and steadier, than `subprocess`."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        actions = [(os.POSIX_SPAWN_DUP2, null, fd) for fd in (0, 1, 2)]
        return os.posix_spawnp(str(argv[0]), words(argv), {"PATH": os.environ["PATH"]}, file_actions=actions)
    finally:
        os.close(null)


def listed(directory):
    try:
        return list(pathlib.Path(directory).iterdir())
    except OSError:
        return []


def parent_of(pid):
    try:
        return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return None


def program_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
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
