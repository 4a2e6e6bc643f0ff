"""What the objects have to be to each other: who selects whom, who scales what, who may talk to whom."""

import tomllib

from pods import containers, pods

SCALERS = ("ScaledObject", "HorizontalPodAutoscaler")


def matches(selector: dict, labels: dict) -> bool:
    wanted = selector.get("matchLabels", {}).items() <= labels.items()
    for expression in selector.get("matchExpressions", []):
        wanted = wanted and labels.get(expression["key"]) in expression["values"]
    return wanted


def check(objects: list[dict]) -> list[str]:
    wrong = []
    names = [(one["kind"], one["metadata"]["name"]) for one in objects]
    wrong += [f"{kind} {name} is there twice" for kind, name in set(names) if names.count((kind, name)) > 1]
    for one in objects:
        where = f"{one['kind']} {one['metadata']['name']}"
        if one["kind"] != "Namespace" and one["metadata"].get("namespace") != "telemetry":
            wrong.append(f"{where}: is in no namespace, or in another")
        wrong += [f"{where}: {what}" for what in of_object(one, objects)]
    wrong += of_scalers(objects)
    wrong += of_policies(objects)
    return wrong


def of_object(one: dict, objects: list[dict]) -> list[str]:
    """A selector selects pods, and the ports that are named are theirs."""
    kind, spec = one["kind"], one.get("spec", {})
    if kind == "Service":
        selector, ports = {"matchLabels": spec["selector"]}, [port["targetPort"] for port in spec["ports"]]
    elif kind == "PodMonitor":
        selector, ports = spec["selector"], [end["port"] for end in spec["podMetricsEndpoints"]]
    elif kind == "NetworkPolicy":
        selector, ports = spec["podSelector"], [port["port"] for rule in spec.get("ingress", []) for port in rule["ports"]]
    elif kind in ("PodDisruptionBudget", "Deployment", "StatefulSet"):
        selector, ports = spec["selector"], []
    else:
        return []
    selected = [pod for _, labels, pod in pods(objects) if matches(selector, labels)]
    if not selected:
        return ["selects no pod"]
    wrong = []
    for port in ports:
        for pod in selected:
            if port not in [known.get("name") for container in containers(pod) for known in container.get("ports", [])]:
                wrong.append(f"a pod that it selects has no port {port}")
    if kind in ("Deployment", "StatefulSet", "PodDisruptionBudget", "Service") and len(selected) > 1:
        wrong.append("selects pods of several programs")
    return wrong


def of_scalers(objects: list[dict]) -> list[str]:
    wrong = []
    scalers = [one for one in objects if one["kind"] in SCALERS]
    if len(scalers) > 1:
        wrong.append("two scalers pull at one Deployment")
    workloads = {one["metadata"]["name"]: one for one in objects if one["kind"] == "Deployment"}
    for one in scalers:
        spec, where = one["spec"], f"{one['kind']} {one['metadata']['name']}"
        target = workloads.get(spec["scaleTargetRef"]["name"])
        if target is None:
            wrong.append(f"{where}: there is no Deployment {spec['scaleTargetRef']['name']}")
        elif "replicas" in target["spec"]:
            wrong.append(f"{where}: the Deployment has replicas of its own, which every upgrade would set")
        least = spec.get("minReplicaCount", 0) if one["kind"] == "ScaledObject" else spec.get("minReplicas", 1)
        if least < 2 or spec.get("idleReplicaCount") is not None:
            wrong.append(f"{where}: scales below two")
        if one["kind"] == "ScaledObject":
            fallback = spec.get("fallback", {})
            if fallback.get("behavior") != "currentReplicasIfHigher" or fallback.get("replicas", 0) < 2:
                wrong.append(f"{where}: does not keep what is there while it knows nothing")
            urls = [trigger["metadata"]["url"] for trigger in spec["triggers"]]
            wrong += [f"{where}: no Service answers at {url}" for url in urls if url not in addresses(objects)]
            asked = {trigger["metadata"]["valueLocation"] for trigger in spec["triggers"]}
            needed = {f"consumers.{lane}.scalable" for lane in lanes(objects, target)} if target else asked
            wrong += [f"{where}: does not ask for {value}, or the nodes have no such lane" for value in sorted(asked ^ needed)]
    return wrong


def lanes(objects: list[dict], workload: dict) -> list[str]:
    """The consumers whose backlog more nodes work off, as the settings of a workload's pods turn them on."""
    spec = workload["spec"]["template"]["spec"]
    variables = {one["name"]: one.get("value") for container in spec["containers"] for one in container["env"]}
    names = [volume["configMap"]["name"] for volume in spec["volumes"] if "configMap" in volume]
    files = [tomllib.loads(one["data"]["ingest-node.toml"]) for one in objects if one["kind"] == "ConfigMap" and one["metadata"]["name"] in names]
    of_file = any(file.get("nats", {}).get("mqtt") for file in files)
    is_on = variables["NATS_MQTT"].lower() in ("1", "true") if variables.get("NATS_MQTT") else of_file
    return ["ingest-workers", "ingest-mqtt"] if is_on else ["ingest-workers"]


def addresses(objects: list[dict]) -> set[str]:
    """Where Services answer what an autoscaler asks."""
    found = set()
    for one in objects:
        if one["kind"] == "Service":
            host = f"{one['metadata']['name']}.{one['metadata'].get('namespace')}.svc"
            found.update(f"http://{host}:{port['port']}/lag" for port in one["spec"]["ports"] if port["targetPort"] == "http")
    return found


def of_policies(objects: list[dict]) -> list[str]:
    """Each pod has one policy, for both directions, and no rule of it is for everybody."""
    wrong = []
    policies = [one for one in objects if one["kind"] == "NetworkPolicy"]
    for name, labels, _ in pods(objects):
        mine = [one for one in policies if matches(one["spec"]["podSelector"], labels)]
        if len(mine) != 1:
            wrong.append(f"{name}: {len(mine)} network policies are for its pods")
    for one in policies:
        where, spec = f"NetworkPolicy {one['metadata']['name']}", one["spec"]
        if sorted(spec.get("policyTypes", [])) != ["Egress", "Ingress"]:
            wrong.append(f"{where}: is not for both directions")
        for direction, peers in (("ingress", "from"), ("egress", "to")):
            for rule in spec.get(direction, []):
                if not rule.get(peers) or not rule.get("ports"):
                    wrong.append(f"{where}: a rule of its {direction} is for everybody, or for every port")
    return wrong
