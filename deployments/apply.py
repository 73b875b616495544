"""Put prefect.yaml on the Prefect server; running it twice is the same as once."""

import asyncio
import copy
import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectNotFound
from prefect.workers.utilities import get_default_base_job_template_for_infrastructure_type

from deployments.account import Account
from tasks import classifiers

POOL = "perennial"
PREFECT = (sys.executable, "-m", "prefect")
PLACE = "{classifier}"


def main() -> int:
    """Apply everything; the exit code of `prefect deploy`."""
    return apply(Account())


def apply(account: Account) -> int:
    names = classifiers.names(account.classifiers_dir)
    for name in names:
        classifiers.load(name, account.classifiers_dir)
    asyncio.run(ensure_pool(account.pool_type))
    wanted = expand(yaml.safe_load(Path("prefect.yaml").read_text("utf-8")), names)
    give_environment(wanted, account.pool_type, account.job_environment())
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", delete=False) as file:
        yaml.safe_dump(wanted, file)
    try:
        done = subprocess.run(
            [*PREFECT, "--no-prompt", "deploy", "--all", "--prefect-file", file.name],
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        Path(file.name).unlink()
    if done.returncode:
        print(done.stdout + done.stderr, file=sys.stderr)
        return done.returncode
    made = ", ".join(sorted(full_name(deployment) for deployment in wanted["deployments"]))
    print(f"deployed {made}")
    return 0


async def ensure_pool(kind: str) -> None:
    """The work pool exists, as Prefect makes it."""
    template = await get_default_base_job_template_for_infrastructure_type(kind)
    assert template is not None, f"Prefect knows no work pool of type {kind}"
    async with get_client() as client:
        try:
            await client.read_work_pool(POOL)
        except ObjectNotFound:
            pool = WorkPoolCreate(name=POOL, type=kind, base_job_template=template)
            await client.create_work_pool(pool)


def expand(file: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """The file with `{classifier}` deployments and schedules written out, one per classifier."""
    deployments = []
    for deployment in file["deployments"]:
        if schedules := deployment.get("schedules"):
            deployment["schedules"] = [each for item in schedules for each in spread(item, names)]
        deployments += spread(deployment, names)
    return {**file, "deployments": deployments}


def give_environment(file: dict[str, Any], kind: str, environment: dict[str, str]) -> None:
    """Every deployment gives its runs this environment; a process starts in this checkout.

    Not the pool: a worker reads its pool every 30 s only, so the first run after a change would
    start with what was there before.
    """
    variables: dict[str, Any] = {"env": environment}
    if kind == "process":
        variables["working_dir"] = str(Path.cwd())
        # Else the worker starts another process before each run, to find out where the code is.
        variables["command"] = shlex.join([sys.executable, "-m", "prefect.engine"])
    for deployment in file["deployments"]:
        deployment["work_pool"] = {**deployment["work_pool"], "job_variables": variables}


def spread(item: dict[str, Any], names: tuple[str, ...]) -> list[dict[str, Any]]:
    """One copy per classifier of what mentions `{classifier}`, else the item itself."""
    text = json.dumps(item)
    if PLACE not in text:
        return [copy.deepcopy(item)]
    return [json.loads(text.replace(PLACE, name)) for name in names]


def full_name(deployment: dict[str, Any]) -> str:
    flow = deployment["entrypoint"].rsplit(".", 1)[-1].replace("_", "-")
    return f"{flow}/{deployment['name']}"


if __name__ == "__main__":
    sys.exit(main())
