"""The chart, rendered by Helm's own library, and the kustomize base that is made from it."""

import pathlib
import re

import helm_python
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "k8s/chart"
BASE = ROOT / "k8s/base"
RELEASE = {"name": "ingest-node", "namespace": "telemetry"}

# What Helm itself needs and kustomize does not; the hash of the configuration is the generator's.
HELMS_OWN = [
    re.compile(r"^ *annotations:\n *checksum/config: .*\n", re.MULTILINE),
    re.compile(r"^ *(helm\.sh/chart|app\.kubernetes\.io/managed-by): .*\n", re.MULTILINE),
]


def values(path: pathlib.Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}


def merged(under: dict, over: dict) -> dict:
    """As Helm merges values: maps member by member, all else as a whole."""
    both = dict(under)
    for key, value in over.items():
        mine = both.get(key)
        both[key] = merged(mine, value) if isinstance(mine, dict) and isinstance(value, dict) else value
    return both


def rendered(of: dict, **options) -> dict[str, str]:
    """The text of each template that has any, by its file's name."""
    with helm_python.Chart.load(CHART) as chart:
        texts = chart.render(of, **RELEASE | options)
    return {pathlib.Path(path).name: text for path, text in texts.items() if text.strip()}


def objects(texts: dict[str, str]) -> list[dict]:
    found = []
    for name, text in texts.items():
        if name.endswith(".yaml"):
            found.extend(one for one in yaml.safe_load_all(text) if one)
    return found


def lint(of: dict, version: str) -> list[str]:
    """What `helm lint --strict` finds, but for the icon that a chart may have."""
    report = helm_python.lint(CHART, of, strict=True, kube_version=version, namespace=RELEASE["namespace"])
    found = [f"{one['path']}: {one['error']}" for one in report["messages"] if one["error"] != "icon is recommended"]
    return found + [str(error) for error in report["errors"]]


def base() -> dict[str, str]:
    """The files of the kustomize base that are made: the chart's, with k8s/base/values.yaml."""
    texts = rendered(values(BASE / "values.yaml"))
    config = yaml.safe_load(texts.pop("run-config.yaml"))
    files = dict(config["data"])
    for name, text in texts.items():
        if name.endswith(".yaml"):
            for own in HELMS_OWN:
                text = own.sub("", text)
            files[name] = "# Made from k8s/chart by scripts/check-k8s --write.\n" + text.strip().removeprefix("---\n") + "\n"
    return files
