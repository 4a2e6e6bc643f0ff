"""What the Dockerfile has to be."""

import pathlib
import re

LABELS = ("title", "description", "source", "licenses", "version", "revision", "base.name")


def check(root: pathlib.Path) -> list[str]:
    text = (root / "Dockerfile").read_text(encoding="utf-8")
    wrong = []
    for base in re.findall(r"^FROM (\S+)", text, re.MULTILINE):
        name = re.fullmatch(r"\$\{([A-Z]+)\}", base)
        if base == "scratch":
            continue
        if name is None and not re.search(r"@sha256:[0-9a-f]{64}$", base):
            wrong.append(f"Dockerfile: {base} is named neither by digest nor by a build argument")
        elif name is not None and not re.search(rf"^ARG {name[1]}$", text, re.MULTILINE):
            wrong.append(f"Dockerfile: the build argument {name[1]} has a default, which is no digest")
    wrong += [f"Dockerfile: no label org.opencontainers.image.{label}" for label in LABELS if f"org.opencontainers.image.{label}=" not in text]
    if not re.search(r"^USER 65532:65532$", text, re.MULTILINE):
        wrong.append("Dockerfile: the program does not run as 65532")
    ignored = (root / ".dockerignore").read_text(encoding="utf-8").split()
    wrong += [f".dockerignore: {name} goes into the image's build" for name in (".git", "target", "docs", "k8s", "monitoring") if name not in ignored]
    return wrong
