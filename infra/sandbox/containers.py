"""The /opt/ml folder and the environment of a SageMaker container, laid out for a process."""

import json
import shutil
from pathlib import Path
from typing import Any

from infra.sandbox.world import Process, World, interpreter

OPT_ML = "/opt/ml"


class Container:
    """One host of a job: a folder that stands for /opt/ml, and a process."""

    def __init__(self, world: World, job: str, folder: Path, host: str = "algo-1") -> None:
        self.world = world
        self.job = job
        self.host = host
        self.root = folder / host
        self.log = folder / f"{host}.log"
        self.env: dict[str, str] = {}

    def prepare(self) -> None:
        """An empty /opt/ml, as on a new instance."""
        shutil.rmtree(self.root, ignore_errors=True)
        for name in ("input/config", "input/data", "model", "output/data", "checkpoints"):
            (self.root / name).mkdir(parents=True)

    def path(self, inside: str) -> Path:
        """The folder that a path below /opt/ml is here."""
        if not inside.startswith(f"{OPT_ML}/"):
            raise ValueError(f"path {inside} is not below {OPT_ML}")
        return self.root / inside.removeprefix(f"{OPT_ML}/")

    def configure(self, name: str, document: Any) -> None:
        path = self.root / "input" / "config" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document))

    def start(self, image: str, specification: dict[str, Any], env: dict[str, str]) -> Process:
        """Run the image's command, or the entrypoint and arguments of the request."""
        command, image_env = self.world.image_command(image)
        command = list(specification.get("ContainerEntrypoint") or command)
        command += specification.get("ContainerArguments") or []
        merged = image_env | env | self.env | {"SAGEMAKER_BASE_DIR": str(self.root)}
        return self.world.spawn(
            self.job,
            interpreter([self._here(word) for word in command]),
            {name: self._here(value) for name, value in merged.items()},
            self.root,
            self.log,
        )

    def failure(self) -> str:
        """What the container wrote to output/failure."""
        path = self.root / "output" / "failure"
        return path.read_text(errors="replace").strip()[:900] if path.exists() else ""

    def _here(self, text: str) -> str:
        return text.replace(OPT_ML, str(self.root))
