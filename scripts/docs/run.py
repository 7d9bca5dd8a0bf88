#!/usr/bin/env python3
"""Runs the commands of the guides, and writes what they printed into both languages: `make docs` calls this.

    scripts/docs/run.py [--check] [GUIDE...]      GUIDE: the start of a name, as step1 or topics/labels

With --check nothing is written: the commands run once each and quickly, and each is a line of TAP: its status, what it has
to print (expect=), and whether the output in the guide still has the form of what is printed today.

Everything runs in a copy of the tree, so neither the guides nor anybody's captures are touched by the commands.
"""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import xml.dom.minidom
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
from guide import ROOT, Guide, Mistake, paths, twin  # noqa: E402

SHOWN_ROOT = "/home/you/c-prof-labs"
LIMIT_S = 300
# Settings of the steps, for commands that name none; and those that are named in commands.
QUICK = {"BENCH_TIME": "0.02s", "BENCH_COUNT": "6", "DURATION": "1s", "PROFILE_SECONDS": "0.3", "CPU_WINDOW_SEC": "1", "GC_RUNS": "2", "GC_COUNT": "100000", "GC_KEEP": "20000"}
QUICKER = [(r"\bDURATION=\d+s", "DURATION=1s"), (r"\bseconds=\d+", "seconds=1"), (r"\bBENCH_COUNT=\d+", "BENCH_COUNT=6"),
           (r"\bBENCH_TIME=[0-9.]+s", "BENCH_TIME=0.02s"), (r"\bCPU_WINDOW_SEC=\d+", "CPU_WINDOW_SEC=1"),
           (r"\bINTERVAL_SEC=\d+", "INTERVAL_SEC=2")]
PORTS = {"PORT_CPU": 18080, "PORT_HEAP": 18081, "PORT_SERVER": 18082, "PORT_BLOCK": 18083, "PORT_MUTEX": 18084,
         "PORT_LATEST": 18086, "PORT_TRACE": 18085, "PORT_TRACE_AFTER": 18088, "PORT_DIFF": 18087, "PORT_FIB_BEFORE": 18090, "PORT_FIB_AFTER": 18091,
         "PORT_ALLOC_BEFORE": 18092, "PORT_ALLOC_AFTER": 18093, "PORT_MUTEX_BEFORE": 18094, "PORT_MUTEX_AFTER": 18095,
         "PORT_ESCAPE_BEFORE": 18096, "PORT_ESCAPE_AFTER": 18097}
SERVER_PORT, SECOND_PORT = 6060, 6061
RANGES = 150  # of 40 ports each, below those that tests choose from


def claim(ports):
    """The last of the ports, held, if all of them are free."""
    held = []
    try:
        for port in ports:
            held.append(socket.create_server(("127.0.0.1", port)))
        return held.pop()
    except OSError:
        return None
    finally:
        for one in held:
            one.close()


class Place:
    """The copy of the tree, the ports that stand in for those of the guides, and what runs in the background."""

    def __init__(self, quick):
        self.quick = quick
        self.root = Path(tempfile.mkdtemp(prefix="c-prof-labs-docs."))
        for entry in ROOT.iterdir():
            if entry.name in ("build", "bin", ".git"):
                (self.root / entry.name).symlink_to(entry)
            elif entry.name == "profiles":
                for kind in entry.iterdir():
                    (self.root / "profiles" / kind.name).mkdir(parents=True)
            elif entry.is_dir():
                shutil.copytree(entry, self.root / entry.name, symlinks=True)
            else:
                shutil.copy2(entry, self.root / entry.name)
        (self.root / "tmp").mkdir(exist_ok=True)
        self.running = []
        self._choose_ports()

    def _choose_ports(self):
        """A run of ports of our own: those of the guides may be taken by somebody who follows them just now. One more is held
        to the end, so that nobody who runs the guides beside us takes the same."""
        for attempt in range(RANGES):
            base = 11000 + (os.getpid() + attempt) % RANGES * 40
            self.ports = {SERVER_PORT: base, SECOND_PORT: base + 30}
            for port in sorted(set(PORTS.values())):
                self.ports[port] = base + 1 + port - 18080
            self.claim = claim([*self.ports.values(), base + 39])
            if self.claim:
                break
        else:
            raise Mistake(f"no free ports from 11000 to {11000 + RANGES * 40}")
        self.environment = {k: os.environ[k] for k in ("PATH", "HOME", "LANG", "CC") if k in os.environ}
        self.environment |= {name: str(self.ports[port]) for name, port in PORTS.items()}
        self.environment |= {"ADDR": f"127.0.0.1:{self.ports[SERVER_PORT]}", "TERM": "dumb", "NO_COLOR": "1",
                             "TZ": "UTC", "DEPS": "0", "COLUMNS": "120"}
        if self.quick:
            self.environment |= QUICK

    def adapt(self, command, background=False):
        """The command of the guide as it is run here. What runs in the background has to outlast what is done meanwhile, also
        where the machine is busy; it is stopped where the guide ends."""
        command = command.replace("/tmp/", f"{self.root}/tmp/")
        for shown, port in self.ports.items():
            command = re.sub(rf"(?<=[:=]){shown}\b", str(port), command)
        if self.quick and background:
            command = re.sub(r"\bDURATION=\d+s", "DURATION=5s", command)
        elif self.quick:
            for pattern, setting in QUICKER:
                command = re.sub(pattern, setting, command)
        return command

    def shown(self, text):
        """What was printed here as the reader would see it."""
        text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text).replace(str(self.root), SHOWN_ROOT).replace(str(ROOT), SHOWN_ROOT)
        for shown, port in self.ports.items():
            text = re.sub(rf"(?<=[:=]){port}\b", str(shown), text)
        lines = [line.split("\r")[-1].expandtabs().rstrip() for line in text.split("\n")]
        while lines and not lines[-1]:
            lines.pop()
        while lines and not lines[0]:
            lines.pop(0)
        return lines

    def run(self, command):
        """(status, lines)"""
        with subprocess.Popen(["bash", "-c", self.adapt(command)], cwd=self.root, env=self.environment, text=True,
                              errors="replace", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, start_new_session=True) as process:
            try:
                out, _ = process.communicate(timeout=LIMIT_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                out, _ = process.communicate()
                return 124, self.shown(out + f"\n(stopped after {LIMIT_S} s)")
        return process.returncode, self.shown(out)

    def run_on(self, command, until):
        """Starts the command and leaves it running once it has printed what was waited for. (status, lines)
        Whatever serves its address was stopped by the reader."""
        address = re.search(r"127\.0\.0\.1:\d+", command)
        self.stop([p for p in self.running if address and address[0] in p.guide_command])
        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen(["bash", "-c", self.adapt(command, background=True)], cwd=self.root, env=self.environment,
                                       stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                       start_new_session=True)
            process.guide_command = command
            self.running.append(process)
            end = time.monotonic() + 60
            while True:
                status = process.poll()
                # The command's own place in the file is shared: pread leaves it alone.
                lines = self.shown(os.pread(log.fileno(), 1 << 20, 0).decode(errors="replace"))
                if any(re.search(until, line) for line in lines):
                    return 0, lines
                if status is not None or time.monotonic() > end:
                    return status or 1, lines + [f"(nothing like {until} was printed)"]
                time.sleep(0.05)

    def stop(self, processes):
        """Ends what runs in the background, as Ctrl-C does."""
        for process in processes:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
                try:
                    os.killpg(process.pid, number)
                    process.wait(timeout=5)
                    break
                except ProcessLookupError:
                    process.wait()
                    break
                except subprocess.TimeoutExpired:
                    continue
        self.running = [p for p in self.running if p not in processes]

    def remove(self):
        self.stop(self.running)
        shutil.rmtree(self.root, ignore_errors=True)


def part(block, lines):
    """The part of the output that the guide shows."""
    start, end = 0, len(lines)
    if block.get("from"):
        start = next((i for i, line in enumerate(lines) if re.search(block.get("from"), line)), 0)
    if block.get("to"):
        end = next((i + 1 for i in range(start, end) if re.search(block.get("to"), lines[i])), end)
    if block.get("head"):
        end = min(end, start + int(block.get("head")))
    return (["..."] if start else []) + lines[start:end] + (["..."] if end < len(lines) else [])


def form(line):
    """A line without what differs from run to run: numbers, the spaces that align them, and which function is in which
    row of pprof's tables (expect= says what has to be there)."""
    bare = "".join(re.sub(r"-?[0-9][0-9.,:%a-zA-Zµ/-]*", "#", line).split())
    return "#####" if re.match(r"#{4,}", bare) else bare


def keeps_form(shown, printed):
    """Whether enough lines of one of the two have their like in the other: a short run prints less, a long one more."""
    old = [form(line) for line in shown if line not in ("", "...")]
    new = [form(line) for line in printed if line]
    alike = lambda some, others: sum(line in set(others) for line in some) * 3 >= len(some)  # noqa: E731
    return not old or alike(old, new) or bool(new) and alike(new, old)


class Runner:
    def __init__(self, check):
        self.check = check
        self.place = Place(quick=check)
        self.seen = {}
        self.failed = self.count = 0

    def tell(self, name, problems, output=()):
        """A line of TAP; in a run that writes, only what is wrong."""
        self.count += 1
        if problems:
            self.failed += 1
        if self.check or problems:
            print(f"{'not ok' if problems else 'ok'} {self.count} - {name}")
            for line in list(problems) + ["printed:"] * bool(problems) + list(output)[-30:] * bool(problems):
                print(f"# {line}")
            sys.stdout.flush()

    def run_command(self, block, command):
        background = block.get("background")
        key = (command, background)
        if key in self.seen and self.check and not background:
            return None
        setting = f"export {block.get('quick')}; " if self.check and block.get("quick") else ""
        command = setting + command
        begun = time.monotonic()
        status, lines = self.place.run_on(command, background) if background else self.place.run(command)
        if os.environ.get("DOCS_TIMES"):
            print(f"# {time.monotonic() - begun:6.2f} s  {command}", file=sys.stderr)
        self.seen[key] = lines
        return status, lines

    def run_block(self, guide, block):
        """The new body of the block. Runs each of its commands."""
        body, everything, name = [], [], block.where()
        allowed = [int(s) for s in block.get("status", "0").split(",")]
        repeated = False
        for command, shown in guide.commands(block):
            result = self.run_command(block, command)
            if result is None:
                repeated = True
                continue
            status, lines = result
            problems = []
            if status not in allowed:
                problems.append(f"expected status {block.get('status', '0')}, got {status}")
            if self.check and not keeps_form(shown, lines):
                problems.append("the guide shows an output of another form; run: make docs")
            self.tell(f"{name} {command}", problems, lines)
            body += ["$ " + command] + part(block, lines)
            everything += lines
        for pattern in block.attributes.get("expect", []):
            if not repeated:
                missing = not re.search(pattern, "\n".join(everything), re.M)
                self.tell(f"{name} says {pattern}", ["it does not"] * missing, everything)
        return "\n".join(body).split("\n")

    def run_figure(self, file, command):
        """The bytes of the picture."""
        if command.startswith("shot "):
            return self.shoot(*command.split()[1:])
        run = subprocess.run(["bash", "-c", self.place.adapt(command)], cwd=self.place.root, env=self.place.environment,
                             stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=LIMIT_S)
        problems = [f"status {run.returncode}"] * (run.returncode != 0)
        try:
            xml.dom.minidom.parseString(run.stdout)
        except xml.parsers.expat.ExpatError as error:
            problems.append(f"no SVG: {error}")
        self.tell(f"{file} {command}", problems, run.stderr.decode(errors="replace").split("\n"))
        return run.stdout

    def shoot(self, url, size):
        """A picture of a page. Where there is no browser, and in a check, which has tests of pages beside it, none is taken."""
        if self.check or not shutil.which("chromium"):
            return b""
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
                            "--disable-background-networking", "--disable-dev-shm-usage", f"--user-data-dir={folder}/browser",
                            "--virtual-time-budget=8000", f"--window-size={size.replace('x', ',')}",
                            f"--screenshot={folder}/shot.png", self.place.adapt(url)],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False, timeout=120)
            shot = Path(folder) / "shot.png"
            self.tell(f"a picture of {url}", [] if shot.exists() else ["the browser took none"])
            return shot.read_bytes() if shot.exists() else b""

    def run_guide(self, path):
        guide = Guide(path)
        bodies, pictures = {}, {}
        things = [(b.first, b) for b in guide.console()] + [(i, (file, command)) for i, file, command in guide.figures()]
        for line, thing in sorted(things, key=lambda t: t[0]):
            if isinstance(thing, tuple):
                pictures[thing[0]] = self.run_figure(*thing)
            else:
                bodies[line] = self.run_block(guide, thing)
        self.place.stop(self.place.running)
        if not self.check:
            self.write(guide, bodies, pictures)

    def write(self, guide, bodies, pictures):
        """Both languages get the same output; the blocks of both are in the same order."""
        for file, content in pictures.items():
            if content:
                (ROOT / file).parent.mkdir(exist_ok=True)
                (ROOT / file).write_bytes(content)
        outputs = [bodies[b.first] for b in guide.console()]
        for language in ("en", "ja"):
            path = twin(guide.path, language)
            if not path.exists():
                continue
            other = Guide(path)
            if len(other.console()) != len(outputs):
                raise Mistake(f"{path}: {len(other.console())} blocks of commands; the other language has {len(outputs)}")
            for block, body in list(zip(other.console(), outputs))[::-1]:
                other.replace(block, body)
            other = fill_files(other)
            if other.write():
                print(f"wrote {path.relative_to(ROOT)}")


def fill_files(guide):
    """Puts the files into the blocks that stand for them."""
    guide = Guide(guide.path, guide.lines)
    for block in guide.blocks[::-1]:
        if block.get("file"):
            guide.replace(block, (ROOT / block.get("file")).read_text(encoding="utf-8").rstrip("\n").split("\n"))
    return guide


def main(arguments):
    check = "--check" in arguments
    names = [a for a in arguments if not a.startswith("-")]
    if any(a.startswith("-") and a != "--check" for a in arguments):
        print(__doc__)
        return 2
    chosen = [p for p in paths("en") if not names or any(str(p.relative_to(ROOT / "docs/en")).startswith(n) for n in names)]
    if not chosen:
        print(f"docs: no guide begins with {' or '.join(names)}; see docs/en", file=sys.stderr)
        return 2
    runner = Runner(check)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        for path in chosen:
            if not check:
                print(f"running {path.relative_to(ROOT)}", flush=True)
            runner.run_guide(path)
    except Mistake as mistake:
        print(f"docs: {mistake}", file=sys.stderr)
        return 1
    finally:
        runner.place.remove()
    if check:
        print(f"1..{runner.count}")
    return 1 if runner.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
