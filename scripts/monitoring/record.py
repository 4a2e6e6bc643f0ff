"""Scrapes the node and the gateway of a demonstration, whose output is read from standard input: `record.py FILE`.

Writes a line for each series, with its values, one for each scrape, `_` where it was absent. Histograms' buckets are left out but for
those that alerts read.
"""

import pathlib
import re
import sys
import threading
import urllib.request

EVERY = 0.3
BUCKETS = "ingest_postgres_flush_seconds_bucket"
ADDED = 'namespace="telemetry",pod="{0}",instance="{0}:8080",job="telemetry/ingest-node"'


def scrape(address: str) -> dict[str, str]:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    figures = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
    return {series: value for series, value in figures if "_bucket{" not in series or series.startswith(BUCKETS)}


def watch(pod: str, address: str, samples: list[dict[str, str]], done: threading.Event) -> None:
    while not done.wait(EVERY):
        try:
            samples.append(scrape(address))
        except OSError:
            return


def labelled(series: str, pod: str) -> str:
    name, _, labels = series.partition("{")
    return f"{name}{{{ADDED.format(pod)}{',' + labels if labels else '}'}"


def main() -> None:
    done = threading.Event()
    watched: dict[str, tuple[threading.Thread, list[dict[str, str]]]] = {}
    for line in sys.stdin:
        if found := re.match(r"the (node|gateway) is ready: http://([\d.:]+)/", line):
            samples: list[dict[str, str]] = []
            thread = threading.Thread(target=watch, args=(found[1], found[2], samples, done))
            thread.start()
            watched[found[1]] = (thread, samples)
    done.set()
    lines = []
    for pod, (thread, samples) in watched.items():
        thread.join()
        count = min(len(taken) for _, taken in watched.values())
        for series in sorted(set().union(*samples[:count])):
            values = [sample.get(series, "_") for sample in samples[:count]]
            if series == "process_start_time_seconds":
                values = ["-3600"] * count
            lines.append(f"{labelled(series, pod)} {' '.join(shortened(values))}")
    pathlib.Path(sys.argv[1]).write_text("\n".join(lines) + "\n", encoding="utf-8")


def shortened(values: list[str]) -> list[str]:
    """Runs of equal values as promtool has them: `5+0x9` is ten times 5."""
    short: list[str] = []
    at = 0
    while at < len(values):
        run = 1
        while at + run < len(values) and values[at + run] == values[at]:
            run += 1
        short.append(values[at] if run == 1 else f"_x{run}" if values[at] == "_" else f"{values[at]}+0x{run - 1}")
        at += run
    return short


if __name__ == "__main__":
    main()
