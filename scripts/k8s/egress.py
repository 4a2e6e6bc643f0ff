"""Whether the network policies let pods go to the servers that their settings name."""

import ipaddress
import tomllib
import urllib.parse

from parts import matches
from pods import SECRETS, containers, pods

PORTS = {"nats": 4222, "tls": 4222, "postgres": 5432, "postgresql": 5432, "http": 80, "https": 443}
INSIDE = (".svc", ".svc.cluster.local")


def check(objects: list[dict], secrets: dict[str, dict[str, str]]) -> list[str]:
    """The servers of each pod's variables, file and secrets that no rule of its policy is for."""
    wrong = []
    policies = [one["spec"] for one in objects if one["kind"] == "NetworkPolicy"]
    for name, labels, spec in pods(objects):
        rules = [rule for one in policies if matches(one["podSelector"], labels) for rule in one.get("egress", [])]
        for host, port in sorted(servers(spec, objects, secrets)):
            if not any(is_for(rule, host, port) for rule in rules):
                wrong.append(f"{name}: its network policy does not let it go to {host}:{port}")
    return wrong


def servers(spec: dict, objects: list[dict], secrets: dict[str, dict[str, str]]) -> set[tuple[str, int]]:
    found: set[tuple[str, int]] = set()
    for volume in spec.get("volumes", []):
        if "configMap" in volume:
            for one in objects:
                if one["kind"] == "ConfigMap" and one["metadata"]["name"] == volume["configMap"]["name"]:
                    found |= of_file(tomllib.loads(one["data"]["ingest-node.toml"]))
    values = {item["path"]: secrets[volume["secret"]["secretName"]].get(item["key"], "")
              for volume in spec.get("volumes", []) if volume.get("secret", {}).get("secretName") in secrets for item in volume["secret"]["items"]}
    for container in containers(spec):
        variables = {one["name"]: str(one.get("value", "")) for one in container.get("env", [])}
        for value in variables.values():
            found |= of_text(values.get(value.rpartition("/")[2], "") if value.startswith(SECRETS) else value)
        if host := variables.get("MQTT_HOST"):
            found.add((host, int(variables.get("MQTT_PORT", 8883 if "MQTT_CA_FILE" in variables else 1883))))
        if host := variables.get("PG_HOST"):
            found.add((host, int(variables.get("PG_PORT", 5432))))
    return found


def of_file(table: dict) -> set[tuple[str, int]]:
    found: set[tuple[str, int]] = set()
    for value in table.values():
        found |= of_file(value) if isinstance(value, dict) else of_text(str(value))
    return found


def of_text(text: str) -> set[tuple[str, int]]:
    """The servers of a URL, or of several with commas between them."""
    urls = [urllib.parse.urlsplit(one.strip()) for one in text.split(",") if "://" in one]
    return {(url.hostname, url.port or PORTS[url.scheme]) for url in urls if url.hostname and url.scheme in PORTS}


def is_for(rule: dict, host: str, port: int) -> bool:
    """Whether a rule of egress may be for a server: pods for a name of the cluster, addresses for any other."""
    if port not in [one["port"] for one in rule.get("ports", []) if one.get("protocol") == "TCP"]:
        return False
    blocks = [ipaddress.ip_network(peer["ipBlock"]["cidr"]) for peer in rule.get("to", []) if "ipBlock" in peer]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        is_inside = "." not in host or host.endswith(INSIDE)
        return len(rule.get("to", [])) > len(blocks) if is_inside else bool(blocks)
    return any(address in block for block in blocks)
