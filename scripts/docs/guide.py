"""A guide in Markdown as the docs tools see it: its headings, blocks of commands, figures, tables and markers.

    ```console head=12 expect='fib_recursive'      the commands of a block begin with "$ "; what follows is their output
    $ make bench-cpu
    ...
    ```
    ```c file=docs/examples/hello.c                the block is that file
    <!-- figure: docs/img/fib.svg: COMMAND -->     the command prints the picture; the next line shows it

What may stand after `console`:
    head=N from=REGEX to=REGEX   which part of the output is shown; "..." stands for what is left out
    expect=REGEX                 has to be in the whole output; may be given several times
    status=0,1                   the exit statuses that are right; 0 if it is not given
    quick=NAME=VALUE             in the environment when the guides are only checked
    background=REGEX             the command runs on once this was printed; it is stopped where the guide ends
"""
import re
import shlex
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
FENCE = re.compile(r"^(```+)(\S*)\s*(.*)$")
FIGURE = re.compile(r"^<!-- figure: (docs/img/\S+): (.+) -->$")
KNOWN = {"head", "from", "to", "expect", "status", "background", "quick", "file"}


class Mistake(Exception):
    """Something in a guide that its writer has to mend."""


class Block:
    """A fenced block: lines[first] is the fence that opens it, lines[last] the one that closes it."""

    def __init__(self, path, first, language, attributes):
        self.path, self.first, self.last, self.language = path, first, None, language
        self.attributes = {}
        for item in shlex.split(attributes):
            key, _, value = item.partition("=")
            if key not in KNOWN:
                raise Mistake(f"{path}:{first + 1}: unknown attribute '{key}'; there are: {' '.join(sorted(KNOWN))}")
            self.attributes.setdefault(key, []).append(value)

    def get(self, key, default=None):
        return self.attributes.get(key, [default])[0]

    def where(self):
        return f"{self.path.relative_to(ROOT)}:{self.first + 1}"


class Guide:
    def __init__(self, path, lines=None):
        self.path = Path(path)
        self.lines = lines or self.path.read_text(encoding="utf-8").split("\n")
        self.recorded = self._find_records()
        self.blocks = []
        self._find_blocks()

    def _find_records(self):
        """The lines between record markers: they are the learner's, and differ from language to language."""
        inside, found = False, set()
        for i, line in enumerate(self.lines):
            if line.startswith("<!-- record:"):
                inside = line.endswith(" begin -->")
            elif inside:
                found.add(i)
        return found

    def _find_blocks(self):
        block, fence = None, None
        for i, line in enumerate(self.lines):
            if i in self.recorded:
                continue
            match = FENCE.match(line)
            if block and line.rstrip() == fence:
                block.last = i
                self.blocks.append(block)
                block = None
            elif not block and match:
                fence = match[1]
                block = Block(self.path, i, match[2], match[3])
        if block:
            raise Mistake(f"{block.where()}: a block that is not closed")

    def body(self, block):
        return self.lines[block.first + 1 : block.last]

    def commands(self, block):
        """[(command, [output lines])]: a command goes on where its line ends with a backslash."""
        found = []
        continued = False
        for line in self.body(block):
            if continued or line.startswith("$ "):
                if continued:
                    found[-1][0] += "\n" + line
                else:
                    found.append([line[2:], []])
                continued = line.endswith("\\")
            elif found:
                found[-1][1].append(line)
            else:
                raise Mistake(f"{block.where()}: output before the first command; commands begin with '$ '")
        return found

    def console(self):
        return [b for b in self.blocks if b.language == "console"]

    def figures(self):
        """[(line, file, command)]"""
        found = []
        for i, line in self.prose():
            if line.startswith("<!-- figure"):
                match = FIGURE.match(line)
                if not match:
                    raise Mistake(f"{self.path}:{i + 1}: expected <!-- figure: docs/img/NAME: COMMAND -->")
                found.append((i, match[1], match[2]))
        return found

    def prose(self):
        """(number, line) of all lines outside of blocks and records."""
        inside = set(self.recorded)
        for block in self.blocks:
            inside.update(range(block.first, block.last + 1))
        return [(i, line) for i, line in enumerate(self.lines) if i not in inside]

    def replace(self, block, body):
        """A new body; call it for the last block first, as it moves the lines below."""
        self.lines[block.first + 1 : block.last] = body

    def write(self):
        text = "\n".join(self.lines)
        if text == self.path.read_text(encoding="utf-8"):
            return False
        beside = self.path.with_suffix(".tmp")
        beside.write_text(text, encoding="utf-8")
        beside.replace(self.path)
        return True


def paths(language):
    """The guides of a language in reading order: the steps, then the topics."""
    return sorted((DOCS / language).glob("step*.md")) + sorted((DOCS / language).glob("topics/*.md"))


def twin(path, language):
    """The same guide in another language."""
    parts = list(path.relative_to(DOCS).parts)
    return DOCS / language / Path(*parts[1:])
