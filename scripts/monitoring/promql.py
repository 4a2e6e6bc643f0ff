"""Which metrics and labels an expression names, and which there are (docs/metrics.md)."""

import pathlib
import re

KEYWORDS = set("by without on ignoring group_left group_right and or unless bool offset le inf nan".split())
# What whoever scrapes adds, and what a histogram has.
ADDED = {"namespace", "pod", "instance", "job"}
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "info": ("",), "counter": ("",), "gauge": ("",)}


def known(root: pathlib.Path) -> dict[str, set[str]]:
    """Every series' name that there is, with its labels."""
    found: dict[str, set[str]] = {}
    row = re.compile(r"^\| `([a-z_]+)` \| (counter|gauge|histogram|info) \| ([a-z_, ]*) \|")
    for line in (root / "docs/metrics.md").read_text(encoding="utf-8").splitlines():
        if match := row.match(line):
            labels = {label for label in match[3].split(", ") if label}
            for suffix in SUFFIXES[match[2]]:
                found[match[1] + suffix] = labels | ({"le"} if suffix == "_bucket" else set())
    assert len(found) > 80, "docs/metrics.md is not read as it is written"
    return found


def wrong(expression: str, metrics: dict[str, set[str]]) -> list[str]:
    """The metrics and labels of an expression that there are not."""
    found = []
    labels: set[str] = set()
    names: list[str] = []
    # Groupings name labels, selectors too; what is left beside functions are metrics.
    text = re.sub(r'"(?:[^"\\]|\\.)*"', '""', expression)
    for group in re.findall(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)", text):
        labels.update(re.findall(r"\w+", group))
    text = re.sub(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", text)
    for name, selector in re.findall(r"([a-zA-Z_:][\w:]*)\s*(\{[^}]*\})?(?!\w|\s*\()", text):
        if name in KEYWORDS or not re.search(rf"(?<![\w:\"]){re.escape(name)}(?![\w:])", text):
            continue
        names.append(name)
        if name.startswith("ingest_node:"):
            continue
        if name not in metrics:
            found.append(f"there is no metric {name}")
            continue
        for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector or ""):
            if label not in metrics[name] | ADDED:
                found.append(f"{name} has no label {label}")
    if not names:
        found.append("it names no metric")
    known_labels = set().union(ADDED, *(metrics.get(name, set()) for name in names))
    found += [f"none of its metrics has a label {label}" for label in sorted(labels - known_labels)]
    return found
