"""Run the commands of docs/tutorial.md, and write what they print below them.

A block marked `console` has commands after `$`, their further lines after `>`, and what they printed. They are run by
bash in an empty folder that has docs/samples/, with a service at the address that the tutorial names, and print what
they would at a terminal without colours.

    python -m experiments.tutorial
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.load import SERVE, free_port, running
from experiments.runs import ROOT

TUTORIAL = ROOT / "docs" / "tutorial.md"
ADDRESS = "http://127.0.0.1:8000"
TERMINAL = {"TERM": "dumb", "TTY_COMPATIBLE": "1"}
BLOCK = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ .*\n(?:> .*\n)*", re.MULTILINE)


def rerun(text: str) -> str:
    """Return the tutorial's text with what its commands print now.

    Raises
    ------
    subprocess.CalledProcessError
        If a command fails.
    """
    port = free_port()
    with TemporaryDirectory() as folder, running(*SERVE, "--port", str(port), port=port):
        shutil.copytree(ROOT / "docs" / "samples", Path(folder) / "docs" / "samples")

        def printed(command: str) -> str:
            script = re.sub(r"^[$>] ", "", command, flags=re.MULTILINE).replace(ADDRESS, f"http://127.0.0.1:{port}")
            found = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
            environment = os.environ | TERMINAL | found
            return subprocess.run(
                ["bash", "-euo", "pipefail", "-c", script],
                cwd=folder,
                env=environment,
                check=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            ).stdout

        def block(match: re.Match[str]) -> str:
            return "".join(command + printed(command) for command in COMMAND.findall(match[0]))

        return BLOCK.sub(block, text)


if __name__ == "__main__":
    TUTORIAL.write_text(rerun(TUTORIAL.read_text(encoding="utf-8")), encoding="utf-8")
