#!/usr/bin/env python3
"""Measures the supervisor, and the others of its kind that are installed, side by side.

Every supervisor runs the same services, with its own defaults for restarts, from a directory of its own under a temporary one; nothing
else is touched, and all that was started is ended. They take turns, round by round, so that what
else the machine does hits all alike. The figures are medians; the ratio is to mattervisor's. They
depend on the machine: compare columns of one run, not runs. Python's standard library is all that
is needed.
"""

import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import workloads  # noqa: E402
from peers import PEERS  # noqa: E402

OURS = "mattervisor"


def jobs(args):
    """(heading, workload) in the order in which they are measured."""
    for count in args.n:
        yield f"{count} services", lambda peer, count=count: workloads.life(peer, args.child, count)
    if args.quick:
        return
    yield f"{args.n[0]} services", lambda peer: workloads.idle(peer, args.child, args.n[0])
    yield f"{workloads.STORM_SERVICES} services that exit at once", lambda peer: workloads.storm(peer, args.child, 0)
    for block, what in ((65536, "64 KiB a write"), (workloads.LINE_BYTES, "one line a write")):
        yield (
            f"{workloads.LINES:,} lines of {workloads.LINE_BYTES} bytes",
            lambda peer, block=block, what=what: workloads.log(peer, args.child, block, what),
        )


def measure(args, wanted):
    """(heading, label) -> peer -> values."""
    table = {}
    failed = False
    for heading, job in jobs(args):
        for round_number in range(args.reps):
            for name in wanted:
                print(f"bench: {heading}, round {round_number + 1}: {name}", file=sys.stderr)
                with tempfile.TemporaryDirectory(prefix="mattervisor-bench-") as work:
                    home = pathlib.Path(work)
                    try:
                        rows = job(PEERS[name](home, args.bin))
                    except (TimeoutError, subprocess.TimeoutExpired, OSError) as error:
                        failed = True
                        print(f"bench: {name} failed: {error!r}; its last words:", file=sys.stderr)
                        output = home / "output"
                        sys.stderr.write(output.read_text()[-2000:] if output.exists() else "")
                        continue
                for label, values in rows.items():
                    table.setdefault((heading, label), {}).setdefault(name, []).extend(values)
    return table, failed


def cell(value):
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def show(table, wanted):
    width = max(len(label) for _, label in table) + 4
    heading = None
    for (above, label), values in table.items():
        if above != heading:
            heading = above
            print(f"\n{heading:{width}}" + "".join(f"{name:>13}{'':7}" for name in wanted))
        line = f"  {label:{width - 2}}"
        medians = {name: workloads.median(values[name]) for name in values}
        for name in wanted:
            if name not in medians:
                line += f"{'-':>13}{'':7}"
                continue
            ratio = ""
            if name != OURS and medians.get(OURS):
                ratio = f"x{medians[name] / medians[OURS]:.1f}"
            line += f"{cell(medians[name]):>13} {ratio:6}"
        print(line.rstrip())


def main():
    parser = argparse.ArgumentParser(
        prog="./dev bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    counts = lambda text: [int(number) for number in text.split(",")]  # noqa: E731
    parser.add_argument("-n", type=counts, default=[100, 1000], help="numbers of services (100,1000)")
    parser.add_argument("--reps", type=int, default=3, help="rounds (3)")
    parser.add_argument("--quick", action="store_true", help="one round of 100 services; no idle, storm and logs")
    parser.add_argument("--only", help="names, separated by commas: " + ", ".join(PEERS))
    parser.add_argument("--bin", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.quick:
        args.n, args.reps = [100], 1
    args.bin = args.bin.absolute()
    args.child = args.bin / "benchchild"
    wanted = args.only.split(",") if args.only else list(PEERS)
    for name in wanted:
        if name not in PEERS:
            parser.error(f"there is no {name}; there are: {', '.join(PEERS)}")
    for name in list(wanted):
        missing = [program for program in PEERS[name].needs if not shutil.which(program)]
        if missing:
            print(f"bench: left out: {name}, for there is no {missing[0]} here", file=sys.stderr)
            wanted.remove(name)
    table, failed = measure(args, wanted)
    if not table:
        sys.exit(1)
    show(table, wanted)
    sys.exit(failed)


if __name__ == "__main__":
    main()
