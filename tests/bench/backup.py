#!/usr/bin/env python3
"""Measures a backup, a restore and its undoing beside the same by hand, on the same data.

By hand a backup is `pg_dump -Fc -Z0` and then `tar`, each piped into `zstd` of the same level and number of
threads; a restore is `zstd -dc` piped into `pg_restore --single-transaction` and into `tar`. Both wait until all
is on the disk. They take turns, round by round, each round the other way round; the figures are medians. CPU is
user and system time of all programs and of the server's processes. Memory is the sum of the highest resident
sizes (VmHWM) of all the job's processes, those of pg_dump or pg_restore and psql included. A server of its own
runs under a temporary directory; all that was started is ended.
"""

import argparse
import contextlib
import json
import os
import pathlib
import pwd
import random
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

TICKS = os.sysconf("SC_CLK_TCK")
DATABASE = "mattermost"
LEVEL = "-3"

SCHEMA = """
SET ROLE mattermost;
CREATE TABLE posts (
    id varchar(26) PRIMARY KEY, createat bigint, updateat bigint, editat bigint, deleteat bigint, ispinned boolean,
    userid varchar(26), channelid varchar(26), rootid varchar(26), originalid varchar(26), message varchar(65535),
    type varchar(26), props jsonb, hashtags varchar(1000), filenames varchar(4000), fileids varchar(300),
    hasreactions boolean, remoteid varchar(26));
INSERT INTO posts
SELECT substr(md5(n::text) || md5('x' || n), 1, 26), 1700000000000 + n * 777, 1700000000000 + n * 777, 0, 0, false,
    substr(md5((n % 500)::text), 1, 26), substr(md5((n % 97)::text), 1, 26), '', '', message, '', '{{}}', '', '[]', '[]',
    false, NULL
FROM (
    SELECT n, string_agg(word, ' ') AS message
    FROM generate_series(1, {rows}) n
    CROSS JOIN LATERAL (
        SELECT (ARRAY[{words}])[1 + floor({count} * power(random(), 3))::int] AS word
        FROM generate_series(1, 3 + (n % 23)::int)) w
    GROUP BY n) m;
CREATE INDEX idx_posts_update_at ON posts (updateat);
CREATE INDEX idx_posts_create_at ON posts (createat);
CREATE INDEX idx_posts_channel_id_update_at ON posts (channelid, updateat);
CREATE INDEX idx_posts_user_id ON posts (userid);
CREATE INDEX idx_posts_root_id_delete_at ON posts (rootid, deleteat);
CREATE INDEX idx_posts_message_txt ON posts USING gin (to_tsvector('english', message));
CREATE INDEX idx_posts_hashtags_txt ON posts USING gin (to_tsvector('english', hashtags));
VACUUM ANALYZE posts;
"""


def words(count):
    """A vocabulary that looks like a language's."""
    dice = random.Random(7)
    begins, middles, ends = "b br c d f g h k l m n p r s st t tr v w".split(), "a e i o u ai ea ou".split(), "n r s t l ck ng d".split()
    syllable = lambda: dice.choice(begins) + dice.choice(middles) + (dice.choice(ends) if dice.random() < 0.6 else "")  # noqa: E731
    return ["".join(syllable() for _ in range(dice.choice((1, 1, 2, 2, 3)))) for _ in range(count)]


class Machine:
    """A server, Mattermost's files, and a supervisor that answers that all is done."""

    def __init__(self, args, home):
        self.args, self.home = args, home
        self.account = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        self.sockets = home / "s"
        self.server = None
        for name in ("pg", "s", "to", "root/site/services.d", "root/mm", "jobs/job", "jobs/restore-job", "hand"):
            (home / name).mkdir(parents=True)
        for name in ("pg", "s", "root/mm"):
            self.give(home / name)
        for name in ("to", "jobs/job", "jobs/restore-job", "root/site"):
            (home / name).chmod(0o700)

    def give(self, path):
        if os.geteuid() == 0:
            shutil.chown(path, self.account, self.account)

    def unprivileged(self):
        return {"user": self.account, "group": self.account, "extra_groups": []} if os.geteuid() == 0 else {}

    def start(self):
        data = self.home / "pg"
        initdb = ["initdb", "--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8"]
        run([self.program(initdb[0]), *initdb[1:], "--pgdata", data], cwd="/", stdout=subprocess.DEVNULL, **self.unprivileged())
        settings = {"listen_addresses": "", "autovacuum": "off", "max_wal_size": "4GB", "shared_buffers": "256MB"}
        options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        self.server = subprocess.Popen(
            [self.program("postgres"), "-D", data, "-k", self.sockets, *options],
            cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **self.unprivileged(),
        )  # fmt: skip
        end = time.monotonic() + 60
        while subprocess.run([self.program("pg_isready"), "-q", "-h", self.sockets], check=False).returncode:
            if time.monotonic() > end or self.server.poll() is not None:
                raise TimeoutError("PostgreSQL does not answer")
            time.sleep(0.1)
        threading.Thread(target=self.supervise, daemon=True).start()

    def program(self, name):
        return str(self.args.postgres / name)

    def environment(self, database=DATABASE):
        return {"PATH": os.environ["PATH"], "PGHOST": str(self.sockets), "PGUSER": "postgres", "PGDATABASE": database}

    def sql(self, text, database=DATABASE):
        argv = [self.program("psql"), "-XAtq", "-v", "ON_ERROR_STOP=1"]
        return run(argv, input=text.encode(), stdout=subprocess.PIPE, env=self.environment(database)).stdout.decode().strip()

    def fill(self):
        print(f"bench: {self.args.rows:,} rows, {self.args.files:,} files", file=sys.stderr)
        self.sql(f"CREATE ROLE mattermost LOGIN; CREATE DATABASE {DATABASE} OWNER mattermost;".replace("; CREATE", ";\nCREATE"), "postgres")
        vocabulary = words(3000)
        text = ",".join(f"'{word}'" for word in vocabulary)
        self.sql(SCHEMA.format(rows=self.args.rows, words=text, count=len(vocabulary)))
        dice = random.Random(8)
        for tree in ("data", "plugins", "client-plugins"):
            (self.home / "root/mm" / tree).mkdir()
            self.give(self.home / "root/mm" / tree)
        for number in range(self.args.files):
            place = self.home / "root/mm/data" / f"202611{number % 28 + 1:02}" / f"{number % 100:02}"
            if not place.exists():
                place.mkdir(parents=True)
                self.give(place.parent)
                self.give(place)
            path = place / f"file-{number}"
            length = min(int(dice.lognormvariate(9, 1.2)), 4 << 20)
            path.write_bytes(dice.randbytes(length) if number % 2 else " ".join(dice.choices(vocabulary, k=length // 5)).encode())
            self.give(path)
        (self.home / "root/mm/config.json").write_text("{}")
        (self.home / "root/variables.tsv").write_text("")
        home = self.home / "root/mm"
        configuration = {
            "to": str(self.home / "to"), "keep": {"newest": 9}, "account": self.account,
            "database": {"host": str(self.sockets), "port": 5432, "user": "postgres", "role": "mattermost", "database": DATABASE,
                         "programs": str(self.args.postgres)},
            "trees": [{"name": name, "path": str(home / name)} for name in ("data", "plugins", "client-plugins")],
            "home": str(home), "mattermost_version": "10.11.3", "site": str(self.home / "root/site"),
            "variables": str(self.home / "root/variables.tsv"), "root": str(self.home / "root"),
            "catalog": str(self.home / "root/catalogue"), "service": "mattermost", "stop": ["mattermost"], "job": "backup",
            "restore": {"job": "restore", "dir": str(self.home / "jobs/restore-job"), "stop": ["mattermost"], "leave": []},
        }  # fmt: skip
        (self.home / "configuration.json").write_text(json.dumps(configuration))

    def supervise(self):
        """Answers every request that all is done."""
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.home / "ctl.sock"))
            listener.listen()
            body = b'{"progress":"done","id":"bench","finished":true,"results":[]}'
            while True:
                stream, _ = listener.accept()
                with stream, contextlib.suppress(OSError):
                    text = b""
                    while b"}" not in text:
                        more = stream.recv(4096)
                        if not more:
                            break
                        text += more
                    stream.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)

    def job(self, verb, arguments):
        """Runs the job as the supervisor does; its result."""
        request = {"id": str(time.monotonic_ns()), "by": "root", "arguments": arguments}
        directory = self.home / "jobs" / verb
        (directory / "request.json").write_text(json.dumps(request))
        environment = {
            "PATH": os.environ["PATH"],
            "MATTERVISOR_JOB_DIR": str(directory),
            "MATTERVISOR_SOCKET": str(self.home / "ctl.sock"),
        }
        argv = [self.args.bin / "mattervisor-backup", "--root", self.home / "root", verb, self.home / "configuration.json"]
        figures = self.measured(argv, environment)
        result = json.loads((directory / "result.json").read_text())
        if result["id"] != request["id"] or not result["ok"]:
            raise OSError(f"the job failed: {result['message']}")
        return figures, result

    def shell(self, text):
        return self.measured(["bash", "-o", "pipefail", "-ec", text], self.environment())

    def measured(self, argv, environment):
        """What a program took: seconds, CPU seconds, and memory of all its processes in bytes."""
        os.sync()
        before, begin = self.cpu(), time.monotonic()
        child = subprocess.Popen(argv, env=environment, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        highest = {}
        ended = threading.Event()
        watcher = threading.Thread(target=watch, args=(child.pid, highest, ended))
        watcher.start()
        said = child.communicate()[1]
        wall = time.monotonic() - begin
        ended.set()
        watcher.join()
        if child.returncode:
            raise OSError(f"{argv[0]} has failed: {said.decode()}")
        return {"wall": wall, "cpu": self.cpu() - before, "memory": sum(highest.values()), "own": highest.get(child.pid, 0)}

    def cpu(self):
        """Of all programs that have ended, and of the server."""
        own = resource.getrusage(resource.RUSAGE_CHILDREN)
        fields = stat(self.server.pid)
        server = sum(int(it) for it in fields[11:15])
        server += sum(int(it) for pid in children(self.server.pid) for it in (stat(pid) or [0] * 13)[11:13])
        return own.ru_utime + own.ru_stime + server / TICKS

    def close(self):
        if self.server:
            self.server.send_signal(signal.SIGQUIT)
            self.server.wait()


def run(argv, **options):
    return subprocess.run([str(word) for word in argv], check=True, **options)


def stat(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def children(pid):
    found = []
    with contextlib.suppress(OSError):
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            found += [int(it) for it in (task / "children").read_text().split()]
    return found


def watch(pid, highest, ended):
    while not ended.wait(0.02):
        wanted = [pid]
        while wanted:
            one = wanted.pop()
            wanted += children(one)
            with contextlib.suppress(OSError, StopIteration):
                lines = pathlib.Path(f"/proc/{one}/status").read_text().splitlines()
                line = next(line for line in lines if line.startswith("VmHWM"))
                highest[one] = int(line.split()[1]) * 1024


def rounds(machine):
    """(what, who) -> figures of each round."""
    table = {}
    home, hand = machine.home, machine.home / "hand"
    pg_dump, pg_restore = machine.program("pg_dump"), machine.program("pg_restore")
    compress = f"zstd {LEVEL} -T1 -q -f"

    def add(what, who, figures):
        table.setdefault(what, {}).setdefault(who, []).append(figures)
        print(f"bench: {what}, {who}: {figures['wall']:.2f} s, CPU {figures['cpu']:.2f} s", file=sys.stderr)

    def ours():
        figures, result = machine.job("job", {"operation": "create"})
        add("backup", "ours", figures)
        file = result["report"]["file"]
        if machine.args.only == "backup":
            os.unlink(file)
            return
        add("restore", "ours", machine.job("restore-job", {"operation": "restore", "file": file})[0])
        add("undo", "ours", machine.job("restore-job", {"operation": "undo"})[0])
        machine.job("restore-job", {"operation": "forget"})
        os.unlink(file)

    def by_hand():
        dump = f"{pg_dump} -Fc -Z0 | {compress} -o {hand}/db.zst; "
        files = f"tar -C {home}/root/mm -cf - . | {compress} -o {hand}/files.zst; sync {hand}/db.zst {hand}/files.zst"
        add("backup", "by hand", machine.shell(dump + files))
        if machine.args.only == "backup":
            return
        (hand / "out").mkdir()
        machine.sql("CREATE DATABASE other OWNER mattermost TEMPLATE template0", "postgres")
        load = f"zstd -dcq {hand}/db.zst | {pg_restore} -Fc -e -1 --no-owner -U mattermost -d other; "
        files = f"zstd -dcq {hand}/files.zst | tar -C {hand}/out -xpf -; sync -f {hand}/out"
        add("restore", "by hand", machine.shell(load + files))
        machine.sql("DROP DATABASE other", "postgres")
        shutil.rmtree(hand / "out")

    for number in range(machine.args.reps):
        for one in (ours, by_hand) if number % 2 == 0 else (by_hand, ours):
            one()
    return table


def show(machine, table):
    size = int(machine.sql(f"SELECT pg_database_size('{DATABASE}')"))
    files = sum(path.stat().st_size for path in (machine.home / "root/mm").rglob("*") if path.is_file())
    version = machine.sql("SHOW server_version")
    print(f"\nPostgreSQL {version}, database {size / 1e6:,.0f} MB, files {files / 1e6:,.0f} MB, {machine.args.reps} rounds, medians\n")
    print(f"{'':10}{'':9}{'wall, s':>10}{'CPU, s':>10}{'memory, MB':>12}{'of itself':>11}")
    for what, whose in table.items():
        for who, figures in whose.items():
            median = {key: statistics.median(one[key] for one in figures) for key in figures[0]}
            line = f"{what:10}{who:9}{median['wall']:10.2f}{median['cpu']:10.2f}{median['memory'] / 1e6:12.0f}"
            print(line + (f"{median['own'] / 1e6:11.0f}" if who == "ours" else ""))
        if len(whose) == 2:
            pairs = list(zip(whose["ours"], whose["by hand"], strict=True))
            ratio = {key: statistics.median(ours[key] / hand[key] for ours, hand in pairs) for key in ("wall", "cpu")}
            print(f"{'':10}{'ratio':9}{ratio['wall']:10.2f}{ratio['cpu']:10.2f}")


def main():
    parser = argparse.ArgumentParser(prog="./dev bench --backup", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows in posts (1000000)")
    parser.add_argument("--files", type=int, default=10_000, help="files (10000)")
    parser.add_argument("--reps", type=int, default=5, help="rounds (5)")
    parser.add_argument("--only", choices=["backup"], help="no restores")
    parser.add_argument("--postgres", type=pathlib.Path, help="directory of PostgreSQL's programs (the newest of the distribution)")
    parser.add_argument("--dir", type=pathlib.Path, help="where everything is made (a temporary directory)")
    parser.add_argument("--bin", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.bin = args.bin.absolute()
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    args.postgres = (args.postgres or found[-1]).absolute()
    with tempfile.TemporaryDirectory(prefix="mattervisor-bench-", dir=args.dir) as work:
        home = pathlib.Path(work)
        home.chmod(0o755)
        machine = Machine(args, home)
        try:
            machine.start()
            machine.fill()
            show(machine, rounds(machine))
        finally:
            machine.close()


if __name__ == "__main__":
    main()
