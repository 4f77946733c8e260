"""Prints a constraints file with the lowest version pyproject.toml allows of each package, PyTorch as pinned here."""

import re
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
for requirement in project["dependencies"]:
    name, version = re.split(">=", requirement)
    if name != "torch":
        print(f"{name}=={version}")
print(Path(".ci/constraints.txt").read_text(encoding="utf-8"))
