"""Runs cto once with one fault and looks, without asking cto, at what is left. Not one line is shared with the harness.

usage: fault_point.py PLACE PROGRAM FAULT [FAULT_OF_RECOVERY]

PLACE holds contract.json, target/ and maybe home/. A fault is SYSCALL:ERROR:AT, SYSCALL:SIGKILL:AT (the AT-th such call
of the main thread, from 1) or file-size:BYTES. Prints one JSON object; exits 1 with the reason when a promise is broken.
"""

import base64
import ctypes
import hashlib
import json
import os
import resource
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time

SEALED_LAST = {"SHA256SUMS", "attestation.dsse.json"}


def demand(holds, what):
    if not holds:
        raise SystemExit(f"broken: {what}")


def names(path):
    return sorted(os.listdir(path)) if os.path.isdir(path) else []


def files(root):
    for at, below, found in os.walk(root):
        below.sort()
        for name in sorted(found + below):
            yield os.path.join(at, name)


def picture(root):
    """Every name below a directory with its kind, mode and content."""
    seen = {}
    for path in files(root):
        mode = os.lstat(path).st_mode
        if stat.S_ISREG(mode):
            with open(path, "rb") as file:
                content = hashlib.sha256(file.read()).hexdigest()
        else:
            content = os.readlink(path) if stat.S_ISLNK(mode) else ""
        seen[os.path.relpath(path, root)] = (mode, content)
    return seen


def check_bundle(bundle, run_id):
    """A closed bundle: one report of its own, and a manifest that lists every file with its true digest."""
    found = {os.path.relpath(path, bundle) for path in files(bundle) if not os.path.isdir(path)}
    demand(SEALED_LAST <= found, f"{run_id} is not sealed: {sorted(found)}")
    with open(os.path.join(bundle, "SHA256SUMS"), "rb") as file:
        sums = file.read()
    listed = {}
    for line in sums.decode().splitlines():
        digest, name = line.split("  ", 1)
        listed[name] = digest
    demand(set(listed) == found - SEALED_LAST, f"{run_id} lists {sorted(set(listed) ^ (found - SEALED_LAST))} wrongly")
    for name, digest in listed.items():
        with open(os.path.join(bundle, name), "rb") as file:
            demand(hashlib.sha256(file.read()).hexdigest() == digest, f"{run_id}/{name} has another digest")
    with open(os.path.join(bundle, "attestation.dsse.json"), "rb") as file:
        statement = json.loads(base64.b64decode(json.load(file)["payload"]))
    subject = statement["subject"][0]
    demand(subject["digest"]["sha256"] == hashlib.sha256(sums).hexdigest(), f"{run_id} has another run's seal")
    with open(os.path.join(bundle, "report.json"), "rb") as file:
        report = json.load(file)
    demand(report["run_id"] == run_id, f"{run_id} holds the report of {report['run_id']}")
    demand((report["status"] == "pass") == (not report["blockers"]), f"{run_id} has status and blockers that differ")
    with open(os.path.join(bundle, "journal.jsonl"), "rb") as file:
        records = [json.loads(line)["event"]["type"] for line in file]
    if "engine_exited" in records:
        demand(report["case_process_started"], f"{run_id} forgot its engine: {records}")
    if report["status"] == "pass":
        for name in ("patch.diff", "test.log", "write-set.json", "decision.json", "contract.json"):
            demand(name in found, f"{run_id} passes without {name}")
        with open(os.path.join(bundle, "events.normalized.jsonl"), "rb") as file:
            last = json.loads(file.read().splitlines()[-1])
        demand(last["type"] == "run.completed", f"{run_id} passes and its last event is {last['type']}")
    return report


def check_home(home, begun):
    """Every begun run has exactly one report and one line in the ledger; nothing else is left."""
    runs = names(os.path.join(home, "runs"))
    demand(set(runs) <= begun, f"runs that nobody began: {sorted(set(runs) - begun)}")
    reports = {run_id: check_bundle(os.path.join(home, "runs", run_id), run_id) for run_id in runs}
    for place in ("live", "work"):
        left = names(os.path.join(home, place))
        demand(not left, f"left in {place}: {left}")
    torn = [path for path in files(home) if os.path.basename(path).startswith(".tmp")]
    demand(not torn, f"temporary files: {torn}")
    listed = ledger(home)
    demand(listed == runs, f"the ledger lists {listed}, the directory {runs}")
    return reports


def ledger(home):
    """The runs that the ledger lists. Read from a copy, since SQLite mends an interrupted transaction by writing."""
    with tempfile.TemporaryDirectory() as copy:
        for name in names(home):
            if name.startswith("ledger.sqlite"):
                shutil.copy(os.path.join(home, name), copy)
        database = sqlite3.connect(os.path.join(copy, "ledger.sqlite"))
        demand(database.execute("pragma integrity_check").fetchone() == ("ok",), "the ledger is torn")
        tables = {row[0] for row in database.execute("select name from sqlite_master where type = 'table'")}
        listed = database.execute("select run_id from runs").fetchall() if "runs" in tables else []
        database.close()
        return sorted(run_id for (run_id,) in listed)


def check_host(place, runs):
    """No mount, cgroup or temporary directory of these runs."""
    with open("/proc/self/mountinfo") as file:
        mounts = [line for line in file if place in line]
    demand(not mounts, f"mounts: {mounts}")
    parts = [run_id.rsplit("-", 1)[1] for run_id in runs]
    for root in ("/sys/fs/cgroup", tempfile.gettempdir()):
        for path in files(root) if root.startswith("/sys") else [os.path.join(root, name) for name in names(root)]:
            demand(not any(part in os.path.basename(path) for part in parts), f"left behind: {path}")


def children():
    """What runs below us; orphans come to us, since this process is their subreaper."""
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                break
        except ChildProcessError:
            return []
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return file.read().split()


def check_processes():
    """Orphans that the kernel is still killing get a moment."""
    for _ in range(200):
        left = children()
        if not left:
            return
        time.sleep(0.025)
    what = []
    for pid in left:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            what.append(file.read().replace(b"\0", b" ").decode(errors="replace"))
        os.kill(int(pid), signal.SIGKILL)
    demand(False, f"processes: {what}")


def begun_runs(home):
    live = [name for name in names(os.path.join(home, "live")) if not name.startswith(".tmp")]
    return set(live) | set(names(os.path.join(home, "runs")))


def run_with(fault, command, **options):
    """Runs a command with a fault; returns its result, whether the fault was met, and how many such calls there were."""
    what, _, rest = fault.partition(":")
    if what == "file-size":

        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(rest), int(rest)))

        return subprocess.run(command, preexec_fn=limit, restore_signals=False, **options), True, 0
    error, at = rest.split(":")
    kind = "signal" if error.startswith("SIG") else "error"
    log = os.path.join(options["cwd"], "strace.log")
    # Without -f only the main thread is traced, so the children of the harness meet no fault.
    inject = ["-e", f"trace={what}", "-e", f"inject={what}:{kind}={error}:when={at}"]
    ran = subprocess.run(["strace", "-qq", "-o", log, *inject, *command], **options)
    with open(log, errors="replace") as file:
        lines = [line for line in file if line.startswith(f"{what}(")]
    return ran, len(lines) >= int(at), len(lines)


def main(place, program, fault, fault_of_recovery=None):
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    home = os.path.join(place, "home")
    target = os.path.join(place, "target")
    contract = os.path.join(place, "contract.json")
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "CTO_HOME": home}
    options = {"env": environment, "cwd": place, "stdin": subprocess.DEVNULL, "text": True, "capture_output": True}
    # A harness that waits for ever breaks a promise as well.
    options["timeout"] = 60
    run = [program, "--json", "run", "--contract", contract, "--", "/bin/sh", "-c", "echo good > value.txt"]
    recover = [program, "--json", "recover"]

    before = picture(target)
    ran, reached, calls = run_with(fault, run, **options)
    begun = begun_runs(home)
    if fault_of_recovery:
        _, reached, calls = run_with(fault_of_recovery, recover, **options)
    recovered = subprocess.run(recover, **options)
    demand(recovered.returncode == 0, f"recover exits {recovered.returncode}: {recovered.stdout}{recovered.stderr}")
    check_processes()
    reports = check_home(home, begun)
    check_host(place, begun)
    demand(picture(target) == before, "the target repository changed")
    closed = picture(home)
    again = subprocess.run(recover, **options)
    demand(again.returncode == 0, f"the second recover exits {again.returncode}: {again.stderr}")
    now = picture(home)
    changed = {name for name in closed.keys() | now.keys() if closed.get(name) != now.get(name)}
    demand(not changed, f"the second recover changed {changed}")
    # A pass that was told is a pass on record; only the telling may fail.
    if ran.returncode == 0:
        demand([report["status"] for report in reports.values()] == ["pass"], f"exit 0 with {reports}")
    # What the fault left must not stand in the way of the next run.
    after = subprocess.run(run, **options)
    demand(after.returncode == 0, f"the next run exits {after.returncode}: {after.stdout}{after.stderr}")
    check_home(home, begun_runs(home))
    verified = subprocess.run([program, "--json", "verify", "--all"], **options)
    bundles = json.loads(verified.stdout)["bundles"] if verified.stdout else []
    failed = [check for bundle in bundles for check in bundle["checks"] if check["state"] == "failed"]
    demand(verified.returncode == 0, f"verify exits {verified.returncode}: {failed}{verified.stderr}")
    statuses = [report["status"] for report in reports.values()]
    codes = [blocker["code"] for report in reports.values() for blocker in report["blockers"]]
    print(json.dumps({"reached": reached, "calls": calls, "exit": ran.returncode, "statuses": statuses, "codes": codes}))


if __name__ == "__main__":
    main(*sys.argv[1:])
