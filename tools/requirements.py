"""Print requirements of pyproject.toml, one per line: `requirements.py build runtime test ...`.

`build` is the build system's list, `runtime` the package's dependencies, any other word an extra.
"""

import sys
from pathlib import Path
from typing import Any

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10: every virtual environment's pip carries the same reader
    from pip._vendor import tomli as tomllib


def requirements(project: dict[str, Any], group: str) -> list[str]:
    """Return the requirements of one group."""
    if group == "build":
        return project["build-system"]["requires"]
    if group == "runtime":
        return project["project"]["dependencies"]
    return project["project"]["optional-dependencies"][group]


def main() -> None:
    """Print the groups named on the command line."""
    path = Path(__file__).resolve().parent.parent / "pyproject.toml"
    project = tomllib.loads(path.read_text(encoding="utf-8"))
    for group in sys.argv[1:]:
        print("\n".join(requirements(project, group)))


if __name__ == "__main__":
    main()
