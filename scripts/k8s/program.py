"""What the program knows of settings: read from config/ingest-node.toml, which a test of the program keeps true."""

import pathlib
import re


# PostgreSQL by parts, in the environment alone (docs/configuration.md).
PARTS = {"PG_HOST", "PG_PORT", "PG_DB", "PG_USER", "PG_PASS", "PG_PASS_FILE"}


class Settings:
    """Names of settings in the environment and in the file, and which of them hold secrets."""

    def __init__(self, root: pathlib.Path):
        self.variables: set[str] = set(PARTS)
        self.keys: set[str] = set()
        self.secret_variables: set[str] = {"PG_PASS"}
        self.secret_keys: set[str] = set()
        section, names = "", []
        for line in (root / "config/ingest-node.toml").read_text(encoding="utf-8").splitlines():
            if heading := re.fullmatch(r"#?\[([a-z_0-9.]+)\]", line):
                section = heading[1]
            elif line.startswith("# "):
                found = re.findall(r"\[([A-Z][A-Z0-9_, ]+)\]", line)
                names = [name for group in found for name in group.split(", ")]
                self.variables.update(names)
                if example := re.search(r"Not set; for example ([a-z_0-9]+) = ", line):
                    self.add(section, example[1], names)
            elif key := re.match(r"#?([a-z_0-9]+) = ", line):
                self.add(section, key[1], names)
                names = []
        assert len(self.variables) > 60 and len(self.keys) > 120, "config/ingest-node.toml is not read as it is written"

    def add(self, section: str, key: str, names: list[str]) -> None:
        key = f"{section}.{key}"
        self.keys.add(key)
        # A secret is what may be given as a file in place of its value.
        plain = [name for name in names if f"{name}_FILE" in names]
        if plain:
            self.secret_keys.add(key)
            self.secret_variables.update(plain)
