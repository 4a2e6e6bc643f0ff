"""What every pod has to be, whatever the values are."""

import re
import tomllib

SECRETS = "/run/secrets/"
# Half a minute is Kubernetes' default; what a drain takes is the program's default where no variable says otherwise.
DRAIN_DEFAULT = 25


def pods(objects: list[dict]) -> list[tuple[str, dict, dict]]:
    """The pods that objects make: what it is called, its labels, its spec."""
    found = []
    for one in objects:
        template = one.get("spec", {}).get("template")
        if one["kind"] in ("Deployment", "StatefulSet", "Job"):
            found.append((f"{one['kind']} {one['metadata']['name']}", template["metadata"]["labels"], template["spec"]))
    return found


def containers(spec: dict) -> list[dict]:
    return spec.get("initContainers", []) + spec["containers"]


def check(objects: list[dict], settings, secrets: dict[str, dict[str, str]], by_digest: bool = True) -> list[str]:
    wrong = []
    accounts = {one["metadata"]["name"] for one in objects if one["kind"] == "ServiceAccount" and not one.get("automountServiceAccountToken", True)}
    used: list[str] = []
    for name, _, spec in pods(objects):
        used.append(spec.get("serviceAccountName"))
        wrong += [f"{name}: {what}" for what in of_pod(name, spec, accounts)]
        volumes, refers = volumes_of(spec, secrets)
        wrong += [f"{name}: {what}" for what in refers]
        for container in containers(spec):
            where = f"{name}, container {container['name']}"
            wrong += [f"{where}: {what}" for what in of_container(container, by_digest)]
            wrong += [f"{where}: {what}" for what in of_environment(container, volumes, settings)]
    wrong += [f"two programs have the service account {name}" for name in set(used) if used.count(name) > 1]
    for one in objects:
        if one["kind"] == "Secret":
            wrong.append(f"Secret {one['metadata']['name']}: secrets are made beforehand, not by manifests")
        if one["kind"] == "ConfigMap" and "ingest-node.toml" in one["data"]:
            wrong += [f"ConfigMap {one['metadata']['name']}: {what}" for what in of_config(one["data"]["ingest-node.toml"], settings)]
    return wrong


def of_pod(name: str, spec: dict, accounts: set[str]) -> list[str]:
    wrong = []
    security = spec.get("securityContext", {})
    if not security.get("runAsNonRoot") or security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        wrong.append("runs not as the standard `restricted` has it")
    if spec.get("automountServiceAccountToken") is not False or spec.get("serviceAccountName") not in accounts:
        wrong.append("has no service account of its own without a token")
    if spec.get("enableServiceLinks") is not False:
        wrong.append("gets variables of other services (enableServiceLinks)")
    if name.startswith("Job"):
        return wrong
    drain = DRAIN_DEFAULT
    pause = 0
    for container in spec["containers"]:
        drain = max([drain] + [int(one["value"]) for one in container["env"] if one["name"] == "DRAIN_TIMEOUT_SECONDS"])
        pause = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if probe not in container:
                wrong.append(f"has no {probe}")
    if spec.get("terminationGracePeriodSeconds", 30) <= drain + pause:
        wrong.append(f"is killed before a drain of {drain} s after {pause} s has ended")
    spread = spec.get("topologySpreadConstraints", [])
    if "topology.kubernetes.io/zone" not in [one["topologyKey"] for one in spread]:
        wrong.append("is not spread over zones")
    version = "controller-revision-hash" if name.startswith("StatefulSet") else "pod-template-hash"
    if any(one.get("matchLabelKeys") != [version] for one in spread):
        wrong.append("is spread together with the pods of other versions")
    return wrong


def volumes_of(spec: dict, secrets: dict[str, dict[str, str]]) -> tuple[dict, list[str]]:
    """The files of each volume of a secret, and the secrets or keys that nobody makes."""
    files, wrong = {}, []
    for volume in spec.get("volumes", []):
        if secret := volume.get("secret"):
            known = secrets.get(secret["secretName"])
            if known is None:
                wrong.append(f"there is no secret {secret['secretName']} in k8s/examples/secrets.yaml")
                continue
            keys = {item["key"] for item in secret["items"]}
            wrong += [f"the secret {secret['secretName']} has no key {key}" for key in sorted(keys - known.keys())]
            files[volume["name"]] = {item["path"] for item in secret["items"]}
    return files, wrong


def of_container(container: dict, by_digest: bool) -> list[str]:
    wrong = []
    if by_digest and not re.fullmatch(r"[^@\s]+@sha256:[0-9a-f]{64}", container["image"]):
        wrong.append(f"its image is not named by digest: {container['image']}")
    security = container.get("securityContext", {})
    if security.get("allowPrivilegeEscalation") is not False or not security.get("readOnlyRootFilesystem") or security.get("capabilities", {}).get("drop") != ["ALL"]:
        wrong.append("is not confined")
    if container.get("terminationMessagePolicy") != "FallbackToLogsOnError":
        wrong.append("its last words are not its termination message")
    resources = container.get("resources", {})
    if "memory" not in resources.get("limits", {}) or not {"cpu", "memory"} <= resources.get("requests", {}).keys():
        wrong.append("has no requests, or no limit of memory")
    return wrong


def of_environment(container: dict, volumes: dict[str, set[str]], settings) -> list[str]:
    wrong = []
    files = {f"{mount['mountPath']}/{file}" for mount in container.get("volumeMounts", []) for file in volumes.get(mount["name"], [])}
    names = [one["name"] for one in container.get("env", [])]
    wrong += [f"{name} is set twice" for name in set(names) if names.count(name) > 1]
    for one in container.get("env", []):
        name, value = one["name"], str(one.get("value", ""))
        if name not in settings.variables:
            wrong.append(f"the program knows no setting {name}")
        if name in settings.secret_variables or re.search(r"://[^/\s]*:[^/\s]*@", value):
            wrong.append(f"{name} is a secret in an environment: give {name}_FILE")
        if value.startswith(SECRETS) and value not in files:
            wrong.append(f"{name} names a file that no volume of this container has: {value}")
        if name.endswith("_FILE") and not value.startswith(SECRETS):
            wrong.append(f"{name} is not a file of a secret: {value}")
    return wrong


def of_config(text: str, settings) -> list[str]:
    try:
        config = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return [f"is no TOML: {error}"]
    wrong = []

    def walk(at: str, table: dict) -> None:
        for key, value in table.items():
            path = f"{at}.{key}".lstrip(".")
            if isinstance(value, dict):
                walk(path, value)
            elif path not in settings.keys:
                wrong.append(f"the program knows no setting {path}")
            elif path in settings.secret_keys or re.search(r"://[^/\s]*@", str(value)):
                wrong.append(f"{path} is a secret in a ConfigMap")

    walk("", config)
    return wrong
