"""The strict schemas of Kubernetes' API, of the oldest and the newest version that is supported."""

import json
import pathlib
import shutil
import subprocess

import kubernetes_validate

# The oldest: lifecycle.preStop.sleep and matchLabelKeys are on by default from here. The newest: the newest that the schemas are there for.
VERSIONS = ("1.30", "1.37")
# Kinds of operators, which Kubernetes itself does not know.
CUSTOM = ("keda.sh/", "monitoring.coreos.com/")
MODELS = pathlib.Path(__file__).resolve().parents[2] / "target/k8s-models"


def check(objects: list[dict]) -> list[str]:
    wrong = []
    for version in VERSIONS:
        for one in objects:
            if one["apiVersion"].startswith(CUSTOM):
                continue
            where = f"Kubernetes {version}: {one['kind']} {one['metadata']['name']}"
            try:
                kubernetes_validate.validate(one, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                wrong.append(f"{where}: {'/'.join(str(part) for part in error.path)}: {error.message}")
            except kubernetes_validate.SchemaNotFoundError as error:
                wrong.append(f"{where}: {error.message}")
    return wrong


def has_models() -> bool:
    return shutil.which("node") is not None and (MODELS / "node_modules").is_dir()


def check_custom(named: dict[str, list[dict]]) -> list[str]:
    """The operators' objects of all sets of values, in one run of Node.js."""
    custom = [{"of": name, "object": one} for name, objects in named.items() for one in objects if one["apiVersion"].startswith(CUSTOM)]
    script = pathlib.Path(__file__).with_name("models.mjs")
    run = subprocess.run(["node", script, MODELS], input=json.dumps(custom), capture_output=True, text=True)
    if run.returncode not in (0, 1):
        return [f"node {script}: {run.stderr.strip()}"]
    return run.stdout.splitlines()
