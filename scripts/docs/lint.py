#!/usr/bin/env python3
"""Checks what can be checked of the guides without running anything; prints TAP. tests/docs.sh calls this.

English and Japanese have the same headings, blocks, tables, pictures, questions and markers; links, anchors, pictures and
files exist; targets of make that are named in the text are in the Makefile; markers are well formed."""
import re
import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
from guide import DOCS, ROOT, Guide, Mistake, paths, twin  # noqa: E402

LINK = re.compile(r"(!?)\[[^\]]*\]\(([^)\s]+)\)")
TARGET = re.compile(r"(?:`|^\$ |&& )make ((?:-\w+ |[A-Z_]+=\S+ )*)([a-z][\w-]*)")
FILE = re.compile(r"`((?:labs|bench|prof|cmd|scripts|docs|tests|\.vscode|\.devcontainer)/[\w./-]+\.\w+)`")
RECORD = re.compile(r"^<!-- record:(step\d) (begin|end) -->$")
STEPS_RECORDED = range(0, 9)


class Report:
    def __init__(self):
        self.count = self.failed = 0

    def tell(self, name, problems):
        self.count += 1
        self.failed += bool(problems)
        print(f"{'not ok' if problems else 'ok'} {self.count} - {name}")
        for line in problems:
            print(f"# {line}")


def anchor(heading):
    """The name that GitHub gives a heading."""
    text = re.sub(r"`|\*|\[([^\]]*)\]\([^)]*\)", lambda m: m[1] or "", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def anchors(guide):
    return {anchor(line.lstrip("#")) for _, line in guide.prose() if re.match(r"#+ ", line)}


def tables(guide):
    """[(line, rows, columns)]: where it begins, and the numbers of columns that its rows have"""
    found, last = [], None
    for i, line in guide.prose():
        if not line.startswith("|"):
            continue
        columns = len(re.findall(r"(?<!\\)\|", line)) - 1
        if last == i - 1:
            found[-1][1] += 1
            found[-1][2].add(columns)
        else:
            found.append([i + 1, 1, {columns}])
        last = i
    return found


def outline(guide):
    """What has to be the same in both languages, as comparable lines."""
    found = []
    starts = {b.first: b for b in guide.blocks}
    for i, line in enumerate(guide.lines):
        if i in starts:
            block = starts[i]
            found.append(f"block {guide.lines[i]}")
            if block.language == "console":
                found += [f"$ {c} -> {len(o)} lines" for c, o in guide.commands(block)]
            elif block.language in ("sh", "c"):
                found += guide.body(block)
    prose = dict(guide.prose())
    for i, line in sorted(prose.items()):
        if re.match(r"#+ ", line):
            found.append(f"heading of level {len(line.split()[0])}")
        if line.startswith(("<!-- ", "<details", "</details")):
            found.append(re.sub(r">.*", ">", line) if line.startswith("<d") else line)
        found += [f"{'picture' if m[1] else 'link'} {m[2].split('#')[0]}" for m in LINK.finditer(line)
                  if m[1] or m[2].startswith("http")]
    return found + [f"table of {rows} rows, {sorted(columns)} columns" for _, rows, columns in tables(guide)]


def check_twins(report, path):
    other = twin(path, "ja")
    name = path.relative_to(DOCS / "en")
    if not other.exists():
        report.tell(f"{name}: the same in both languages", [f"{other.relative_to(ROOT)} is missing"])
        return
    en, ja = outline(Guide(path)), outline(Guide(other))
    problems = [f"en: {a}\nja: {b}".replace("\n", "\n# ") for a, b in zip(en, ja) if a != b][:3]
    if not problems and len(en) != len(ja):
        longer = en if len(en) > len(ja) else ja
        problems = [f"only in {'en' if longer is en else 'ja'}: {longer[min(len(en), len(ja))]}"]
    report.tell(f"{name}: the same in both languages", problems)


def check_links(report, guide, name):
    problems = []
    for i, line in guide.prose():
        for match in LINK.finditer(re.sub(r"`[^`]*`", "", line)):
            link, _, part = match[2].partition("#")
            if link.startswith(("http://", "https://")):
                continue
            target = (guide.path.parent / link).resolve() if link else guide.path
            if not target.exists():
                problems.append(f"line {i + 1}: {match[2]} is not there")
            elif part and target.suffix == ".md" and part not in anchors(Guide(target)):
                problems.append(f"line {i + 1}: no heading #{part} in {link or 'this file'}; there are {anchors(Guide(target))}")
    report.tell(f"{name}: links and pictures lead somewhere", problems)


def make_targets():
    text = subprocess.run(["make", "-qp", "DEPS=0"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    return set(re.findall(r"^([a-z][\w-]*):", text, re.M))


def check_names(report, guide, name, targets):
    """What the text calls by name exists: targets of make, files of the repository."""
    problems = []
    for i, line in enumerate(guide.lines):
        problems += [f"line {i + 1}: make has no target {m[2]}" for m in TARGET.finditer(line) if m[2] not in targets]
        problems += [f"line {i + 1}: no file {m[1]}" for m in FILE.finditer(line) if not (ROOT / m[1]).exists()]
    report.tell(f"{name}: targets and files that it names exist", problems)


def check_form(report, guide, name):
    """Records, tables, folded answers and blocks are well formed."""
    problems = [f"line {line}: {rows} rows with {sorted(columns)} columns"
                for line, rows, columns in tables(guide) if len(columns) != 1]
    records = []
    depth = 0
    for i, line in guide.prose():
        depth += len(re.findall("<details>", line)) - len(re.findall("</details>", line))
        if "record:" in line and line.lstrip().startswith("<!--"):
            match = RECORD.match(line)
            records.append((match[1], match[2]) if match else f"line {i + 1}: a record marker of another form")
    if depth:
        problems.append("details that are not closed")
    step = re.match(r"step(\d)", guide.path.name)
    wanted = [(f"step{step[1]}", "begin"), (f"step{step[1]}", "end")] if step and int(step[1]) in STEPS_RECORDED else []
    if records != wanted:
        problems.append(f"expected the record markers {wanted}, got {records}")
    for block in guide.blocks:
        if not block.language:
            problems.append(f"line {block.first + 1}: a block without a language")
        if block.language == "console" and not guide.commands(block):
            problems.append(f"line {block.first + 1}: a console block without a command")
        if block.get("file") and guide.body(block) != (ROOT / block.get("file")).read_text(encoding="utf-8").rstrip().split("\n"):
            problems.append(f"line {block.first + 1}: not what is in {block.get('file')}; run: make docs")
    for i, file, _ in guide.figures():
        if Path(file).name not in guide.lines[i + 1]:
            problems.append(f"line {i + 2}: expected the picture {file}")
    report.tell(f"{name}: well formed", problems)


def check_breaks(report, guide, name):
    """A browser shows the end of a line as a gap; between two Japanese characters there is none, so a paragraph is one line."""
    begins = re.compile(r"$|[#|<]|```|!\[|[-*] |\d+\. ")
    prose = guide.prose()
    problems = [f"line {i + 1}: goes on from the line above; join them"
                for (before, above), (i, line) in zip(prose, prose[1:])
                if i == before + 1 and not re.match(r"$|[#|<]|```|!\[", above) and not begins.match(line)]
    report.tell(f"{name}: a paragraph is one line", problems)


def check_index(report):
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    missing = [str(p.relative_to(DOCS)) for lang in ("en", "ja") for p in paths(lang)
               if f"({p.relative_to(DOCS)})" not in index]
    report.tell("docs/README.md lists every guide", missing)
    check_links(report, Guide(DOCS / "README.md"), "README.md")


def check_pictures(report):
    """Every picture is shown somewhere, and none is heavy: the repository is cloned over a classroom's network."""
    text = "".join(p.read_text(encoding="utf-8") for p in paths("en")) + (ROOT / "README.md").read_text(encoding="utf-8")
    pictures = sorted((DOCS / "img").glob("*"))
    report.tell("every picture is shown in a guide", [p.name for p in pictures if f"img/{p.name}" not in text])
    report.tell("no picture is above 300 kB", [p.name for p in pictures if p.stat().st_size > 300_000])


def main():
    report = Report()
    targets = make_targets()
    for path in paths("en"):
        try:
            check_twins(report, path)
        except Mistake as mistake:
            report.tell(f"{path.name}: can be read", [str(mistake)])
    extra = [str(p.relative_to(ROOT)) for p in paths("ja") if not twin(p, "en").exists()]
    report.tell("no guide is in Japanese only", extra)
    for language in ("en", "ja"):
        for path in paths(language):
            name = path.relative_to(DOCS)
            try:
                guide = Guide(path)
                check_form(report, guide, name)
                check_links(report, guide, name)
                check_names(report, guide, name, targets)
                if language == "ja":
                    check_breaks(report, guide, name)
            except Mistake as mistake:
                report.tell(f"{name}: can be read", [str(mistake)])
    check_index(report)
    check_pictures(report)
    print(f"1..{report.count}")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
