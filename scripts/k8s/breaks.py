"""Manifests that are broken on purpose: a check that finds nothing in them is no check.

Each row: what is broken, how, and a part of the sentence that has to be found. The objects are those of values-everything.yaml.
"""

import copy
import pathlib

import chart
import egress
import parts
import pods
import schemas
from program import Settings


def pick(objects: list[dict], kind: str, name: str) -> dict:
    return next(one for one in objects if (one["kind"], one["metadata"]["name"]) == (kind, name))


def pod(objects: list[dict], kind: str = "Deployment", name: str = "ingest-node") -> dict:
    return pick(objects, kind, name)["spec"]["template"]["spec"]


def node(objects: list[dict]) -> dict:
    return pod(objects)["containers"][0]


def env(objects: list[dict], name: str, value: str) -> None:
    node(objects)["env"].append({"name": name, "value": value})


def config(objects: list[dict], line: str) -> None:
    data = pick(objects, "ConfigMap", "ingest-node")["data"]
    data["ingest-node.toml"] += "\n" + line


BREAKS = [
    ("a member that Kubernetes does not know", lambda o: pod(o).update(restartPolcy="Always"), "restartPolcy"),
    ("a probe with a text for a number", lambda o: node(o)["readinessProbe"].update(periodSeconds="5"), "periodSeconds"),
    ("a pause that 1.30 does not know", lambda o: node(o).update(lifecycle={"preStop": {"slep": {"seconds": 1}}}), "slep"),
    ("a tag for a digest", lambda o: node(o).update(image="registry.example.com/iot/ingest-node:latest"), "not named by digest"),
    ("a misspelt variable", lambda o: env(o, "NATS_MQTTT", "1"), "knows no setting NATS_MQTTT"),
    ("a misspelt setting", lambda o: config(o, "[influx]\nurl = 'http://influxdb:8181'".replace("[influx]", "[influx.batch]")), "knows no setting influx.batch.url"),
    ("a token in a ConfigMap", lambda o: config(o, "[admin]\nkey = 'only-an-example-0123456789abcdef'"), "admin.key is a secret"),
    ("a password in a URL", lambda o: env(o, "NATS_URL", "nats://ingest:change-me@nats:4222"), "NATS_URL is a secret"),
    ("a key in an environment", lambda o: env(o, "ADMIN_KEY", "0123456789abcdef"), "ADMIN_KEY is a secret"),
    ("a file that is not mounted", lambda o: env(o, "NATS_CREDS_FILE", "/run/secrets/ingest-node/nats.creds"), "no volume of this container"),
    ("the secret of migrations in a node", lambda o: env(o, "NATS_TOKEN_FILE", "/run/secrets/ingest-node-migrate/database-url"), "no volume of this container"),
    ("a secret that nobody makes", lambda o: pod(o)["volumes"][1]["secret"].update(secretName="ingest-nodes"), "no secret ingest-nodes"),
    ("a key that a secret has not", lambda o: pod(o)["volumes"][1]["secret"]["items"].append({"key": "passwd", "path": "passwd"}), "has no key passwd"),
    ("a secret with a default password", lambda o: o.append({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x", "namespace": "telemetry"}}), "made beforehand"),
    ("a root that can be written", lambda o: node(o)["securityContext"].update(readOnlyRootFilesystem=False), "not confined"),
    ("root", lambda o: pod(o)["securityContext"].update(runAsNonRoot=False), "`restricted`"),
    ("a token of the API server", lambda o: pod(o).update(automountServiceAccountToken=True), "service account"),
    ("another program's account", lambda o: pod(o).update(serviceAccountName="ingest-node-gateway"), "two programs"),
    ("variables of services", lambda o: pod(o).pop("enableServiceLinks"), "enableServiceLinks"),
    ("no last words", lambda o: node(o).pop("terminationMessagePolicy"), "last words"),
    ("no limit", lambda o: node(o)["resources"].pop("limits"), "no limit"),
    ("no probe", lambda o: node(o).pop("startupProbe"), "no startupProbe"),
    ("a grace period of the drain's length", lambda o: pod(o).update(terminationGracePeriodSeconds=60), "is killed before"),
    ("zones without versions", lambda o: pod(o)["topologySpreadConstraints"][0].pop("matchLabelKeys"), "of other versions"),
    ("a selector of nobody", lambda o: pick(o, "Service", "ingest-node")["spec"]["selector"].update({"app.kubernetes.io/component": "rum"}), "selects no pod"),
    ("a budget for two programs", lambda o: pick(o, "PodDisruptionBudget", "ingest-node")["spec"]["selector"]["matchLabels"].pop("app.kubernetes.io/component"), "several programs"),
    ("a port that is not there", lambda o: pick(o, "Service", "ingest-node")["spec"]["ports"][0].update(targetPort="htttp"), "no port htttp"),
    ("a monitor of a port that is not there", lambda o: pick(o, "PodMonitor", "ingest-node")["spec"]["podMetricsEndpoints"][0].update(port="metrics"), "no port metrics"),
    ("two scalers", lambda o: o.append(dict(pick(o, "ScaledObject", "ingest-node"), metadata={"name": "second", "namespace": "telemetry"})), "two scalers"),
    ("replicas beside a scaler", lambda o: pick(o, "Deployment", "ingest-node")["spec"].update(replicas=2), "replicas of its own"),
    ("to zero", lambda o: pick(o, "ScaledObject", "ingest-node")["spec"].update(minReplicaCount=0), "below two"),
    ("idle at zero", lambda o: pick(o, "ScaledObject", "ingest-node")["spec"].update(idleReplicaCount=0), "below two"),
    ("a scaler that fails open", lambda o: pick(o, "ScaledObject", "ingest-node")["spec"].pop("fallback"), "keep what is there"),
    ("a scaler of another port", lambda o: pick(o, "ScaledObject", "ingest-node")["spec"]["triggers"][0]["metadata"].update(url="http://ingest-node.telemetry.svc:8081/lag"), "no Service answers"),
    ("a lane that no scaler looks at", lambda o: pick(o, "ScaledObject", "ingest-node")["spec"]["triggers"].pop(), "consumers.ingest-mqtt.scalable"),
    ("a scaler of a lane that is off", lambda o: node(o)["env"].remove({"name": "NATS_MQTT", "value": "1"}), "consumers.ingest-mqtt.scalable"),
    ("a scaler of nothing", lambda o: pick(o, "ScaledObject", "ingest-node")["spec"]["scaleTargetRef"].update(name="ingest"), "no Deployment ingest"),
    ("a policy for everybody", lambda o: pick(o, "NetworkPolicy", "ingest-node")["spec"]["ingress"][1].pop("from"), "for everybody"),
    ("a policy for nobody's pods", lambda o: o.remove(pick(o, "NetworkPolicy", "ingest-node-migrate")), "0 network policies"),
    ("a policy of one direction", lambda o: pick(o, "NetworkPolicy", "ingest-node-gateway")["spec"].update(policyTypes=["Ingress"]), "both directions"),
    ("an InfluxDB outside of the cluster", lambda o: env(o, "INFLUXDB_URL", "https://influxdb.example.com"), "does not let it go to influxdb.example.com:443"),
    ("an InfluxDB at another port", lambda o: config(o, "[influx.batch]\nurl = 'http://influxdb:8086'"), "does not let it go to influxdb:8086"),
    ("a policy that leaves NATS out", lambda o: pick(o, "NetworkPolicy", "ingest-node-gateway")["spec"]["egress"].pop(1), "does not let it go to nats:4222"),
    ("a policy that leaves the MQTT broker out", lambda o: pick(o, "NetworkPolicy", "ingest-node-gateway")["spec"]["egress"].pop(), "does not let it go to mosquitto:1883"),
    ("a policy without PostgreSQL for migrations", lambda o: pick(o, "NetworkPolicy", "ingest-node-migrate")["spec"]["egress"].pop(), "does not let it go to postgres:5432"),
    ("an object of no namespace", lambda o: pick(o, "Service", "ingest-node")["metadata"].pop("namespace"), "in no namespace"),
]

CUSTOM_BREAKS = [
    ("a member that KEDA does not know", lambda o: pick(o, "ScaledObject", "ingest-node")["spec"].update(minReplicaCont=2), "minReplicaCont"),
    ("a fallback that KEDA does not know", lambda o: pick(o, "ScaledObject", "ingest-node")["spec"]["fallback"].update(behavior="keep"), "behavior"),
    ("a threshold that is a number", lambda o: pick(o, "ScaledObject", "ingest-node")["spec"]["triggers"][0]["metadata"].update(targetValue=5), "targetValue"),
    ("a monitor with a misspelt member", lambda o: pick(o, "PodMonitor", "ingest-node")["spec"]["podMetricsEndpoints"][0].update(intervall="1s"), "intervall"),
]


def check(settings: Settings, secrets: dict[str, dict[str, str]], has_models: bool) -> list[str]:
    """The breaks that are not found."""
    whole = chart.objects(chart.rendered(chart.values(chart.ROOT / "k8s/examples/values-everything.yaml")))
    missed = []
    for name, breaks, sentence in BREAKS:
        objects = copy.deepcopy(whole)
        breaks(objects)
        changed = [one for one in objects if one not in whole]
        found = pods.check(objects, settings, secrets) + parts.check(objects) + egress.check(objects, secrets) + schemas.check(changed)
        if not any(sentence in line for line in found):
            missed.append(f"not found although it was broken on purpose: {name}")
    if has_models:
        broken = {}
        for name, breaks, _ in CUSTOM_BREAKS:
            broken[name] = copy.deepcopy(whole)
            breaks(broken[name])
        found = schemas.check_custom(broken)
        for name, _, sentence in CUSTOM_BREAKS:
            if not any(line.startswith(name) and sentence in line for line in found):
                missed.append(f"not found although it was broken on purpose: {name}")
    return missed
