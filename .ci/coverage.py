"""Prints the share of lines and branches the tests reached, and the files with the most left, from coverage's XML."""

import sys
from pathlib import Path
from xml.etree import ElementTree

root = ElementTree.fromstring(Path(sys.argv[1]).read_text(encoding="utf-8"))
print(f"coverage: {float(root.get('line-rate', 0)):.1%} of lines, {float(root.get('branch-rate', 0)):.1%} of branches")
files = sorted(root.iter("class"), key=lambda file: float(file.get("line-rate", 0)))
for file in files[:10]:
    print(f"  {float(file.get('line-rate', 0)):6.1%}  {file.get('filename')}")
