"""What is measured: each workload gives rows, a label and a list of values."""

import os
import statistics
import time

from session import Session, kill

LOOKS = 30  # of status
TRIES = 8  # of restart and of crash
FRESH_TRIES = 4  # of a crash soon after a start
IDLE_SECONDS = 30
STORM_SERVICES = 100
STORM_SECONDS = 10
LINES = 1_000_000
LINE_BYTES = 100


def life(peer, child, count):
    """From boot to shutdown, with logs captured."""
    names = [f"svc-{number}" for number in range(count)]
    session = Session(peer, child, dict.fromkeys(names, "sleep"))
    rows = {}
    try:
        rows["boot, ms"] = [session.boot()]
        time.sleep(2)
        rows["memory of its own (PSS), MB"] = [session.memory_kb() / 1000]
        rows["status of one, ms"] = [session.client(peer.status(names[0])) for _ in range(LOOKS)]
        rows["status of all, ms"] = [session.client(peer.status()) for _ in range(LOOKS)]
        crashes, restarts, early = [], [], []
        for number in range(TRIES):
            # Another one each time: the second early death of one is answered by a pause.
            crashed, restarted = names[(2 * number) % count], names[(2 * number + 1) % count]
            crashes.append(session.replaced(crashed, kill)[0])
            restart = peer.restart(restarted)
            restarts.append(session.replaced(restarted, lambda _, argv=restart: session.client(argv)))
            if number < FRESH_TRIES:
                early.append(session.replaced(restarted, kill, lived=0.05)[0])
        rows["SIGKILL to replacement, ms"] = crashes
        rows["the same, had lived 50 ms, ms"] = early
        rows["restart to new process, ms"] = [started for started, _ in restarts]
        rows["restart, client returns, ms"] = [returned for _, returned in restarts]
        for name in names:
            session.let_live(name, 1.3)  # nobody is caught in a pause of its own
        rows["shutdown, ms"] = [session.stop()]
        return rows
    finally:
        session.close()


def idle(peer, child, count):
    session = Session(peer, child, {f"svc-{number}": "sleep" for number in range(count)})
    try:
        session.boot()
        time.sleep(5)
        before = session.effort()
        time.sleep(IDLE_SECONDS)
        cpu, wakeups = session.spent(before)
        return {
            f"wake-ups in {IDLE_SECONDS} s idle": [wakeups],
            f"CPU in {IDLE_SECONDS} s idle, ms": [cpu * 1000],
        }
    finally:
        session.close()


def storm(peer, child, _):
    """Services that exit at once, for ever."""
    names = [f"svc-{number}" for number in range(STORM_SERVICES)]
    session = Session(peer, child, dict.fromkeys(names, "exit"))
    try:
        session.boot()
        before, began, lives = session.effort(), time.monotonic(), session.lives
        looks = []
        while time.monotonic() < began + STORM_SECONDS:
            looks.append(session.client(peer.status(names[0])))
            time.sleep(0.1)
        cpu, _ = session.spent(before)
        seconds = time.monotonic() - began
        session.look()
        return {
            "storm: status of one, ms": looks,
            "storm: CPU of its own, % of a core": [100 * cpu / seconds],
            "storm: starts a second": [(session.lives - lives) / seconds],
        }
    finally:
        session.close()


def log(peer, child, block, what):
    """One service writes a million lines; until the last of them is in the file."""
    fifo = peer.home / "go"
    os.mkfifo(fifo)
    session = Session(peer, child, {"writer": f"lines:{fifo}:{LINES}:{LINE_BYTES}:{block}"})
    try:
        session.boot()
        directory = peer.log_dir("writer")
        before = session.effort()
        begin = time.monotonic_ns()
        os.close(os.open(fifo, os.O_WRONLY))
        last = b"%010d " % (LINES - 1)
        session.wait(lambda: newest_has(directory, last))
        seconds = (time.monotonic_ns() - begin) / 1e9
        cpu, _ = session.spent(before)
        return {
            f"log, {what}: MB/s": [LINES * LINE_BYTES / 1e6 / seconds],
            f"log, {what}: CPU of its own, s": [cpu],
            f"log, {what}: lines broken or missing": [faults(directory)],
        }
    finally:
        session.close()


def newest_has(directory, mark):
    for path in directory.glob("*"):
        try:
            with path.open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - 512))
                if mark in file.read(512):
                    return True
        except OSError:  # rotated away, or a directory
            continue
    return False


def faults(directory):
    """Lines that are not whole, and gaps between the first that is kept (older ones may be rotated
    away) and the last."""
    numbers, broken = [], 0
    for path in directory.iterdir():
        if not path.is_file() or path.name in ("config", "lock", "state"):
            continue
        for line in path.read_bytes().split(b"\n"):
            begin = line.find(b" xxxx") - 10
            if begin < 0 or not line[begin : begin + 10].isdigit() or len(line) - begin != LINE_BYTES - 1:
                broken += bool(line) and b"xxxx" in line
                continue
            numbers.append(int(line[begin : begin + 10]))
    missing = LINES - min(numbers, default=0) - len(set(numbers))
    return broken + missing + len(numbers) - len(set(numbers))


def median(values):
    return statistics.median(values)
