"""A rehearsal of releases on the local stack: `make gameday`, after `make demo`.

Five acts while callers ask all the time: a good release in steps, a bad one that is caught at
10 %, one whose process is killed there, a rollback by hand, and the release once more. Every act
is a run of a deployment, so Prefect's pages show it. The versions are the champion's weights in
two new bundles with the champion's verdict (deployments/repacked.py): nothing is trained. The bad
one passes gate and smoke test and turns bad when the first caller hears it: the sandbox then
answers 500 instead of it to a part of the requests (the fault `failing-version`).
Steps last a minute and p99 may be 2 s: a laptop that runs all servers at once is no server.
"""

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import httpx
import psutil
from prefect.artifacts import Artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas import objects
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment

from deployments import callers, demo, predict, watch
from deployments.account import Account
from deployments.acts import Act, Ending, table
from deployments.crowd import Crowd
from deployments.repacked import repack
from tasks.adapters import aws
from tasks.errors import BadInput, DeployFailed, NotFound, ProjectError, WaitTimeout
from tasks.records import Release, Served

CLASSIFIER = "news"
MODEL = "bert-news-classifier"
_LIMIT_S = 600
_RUN = "PREFECT__FLOW_RUN_ID"
_FAILING_SHARE = 0.3
_ANSWERS = 40  # all of one version: by chance once in 68 times where a tenth is another's
_CAREFUL = {**demo.ROLLOUT, "steps": [{"percent": share, "minutes": 1} for share in (10, 50)]}
_AT_ONCE = {**_CAREFUL, "strategy": "blue-green"}


class Gameday:
    """The rehearsal under way: who asks, which versions there are, and the acts so far."""

    def __init__(self, account: Account, first: str, good: str, bad: str, crowd: Crowd) -> None:
        self.account, self.crowd = account, crowd
        self.first, self.good, self.bad = first, good, bad
        self.acts: list[Act] = []
        self.broken = ""

    def play(self) -> None:
        """All acts; a difference does not end the rehearsal, an act that cannot go on does."""
        try:
            for act in (self.steps, self.caught, self.killed, self.back, self.again):
                act()
        except ProjectError as error:
            self.broken = str(error)

    def steps(self) -> None:
        began = self.begin("1 good release in steps")
        run = ended(self.deploy(self.good, _CAREFUL))
        self.end("1 good release in steps", began, run, self.live(self.good, "100 %: PASS"))

    def caught(self) -> None:
        name = "2 bad release, caught at 10 %"
        began = self.begin(name)
        run = self.deploy(self.bad, _CAREFUL)
        heard = self.hear(run, began, self.bad)
        fault(kind="failing-version", name=self.bad, share=_FAILING_SHARE, times=1_000_000)
        run = ended(run)
        fault()
        note = f"{self.last(began, self.bad) - heard:.0f} s from its first answer to its last one"
        expected = Ending("FAILED", "ROLLED_BACK", self.good, "10 %: FAIL")
        self.end(name, began, run, expected, may_fail=self.bad, note=note)

    def killed(self) -> None:
        name = "3 release killed at 10 %"
        began = self.begin(name)
        run = self.deploy(self.bad, _CAREFUL)
        self.hear(run, began, self.bad)
        died = time.monotonic()
        kill(run)
        run = ended(run)
        self.wait(lambda: self.journal().state != "SWITCHING", "reconcile puts it back")
        seconds = time.monotonic() - died
        note = f"{seconds:.0f} s after the kill all was back: {self.journal().reason}"
        self.end(name, began, run, Ending("CRASHED", "ROLLED_BACK", self.good), note=note)

    def back(self) -> None:
        name = "4 rollback by hand"
        began = self.begin(name)
        run = ended(start("rollback", {"reason": "a rehearsal"}))
        self.settled()
        seconds = self.last(began, self.good) - began
        note = f"{seconds:.1f} s from the command to the last answer of version {self.good}"
        self.end(name, began, run, Ending("COMPLETED", "LIVE", self.first), note=note)

    def again(self) -> None:
        name = "5 promoted again, blue/green"
        began = self.begin(name)
        run = ended(self.deploy(self.good, _AT_ONCE))
        self.end(name, began, run, self.live(self.good, "100 %: PASS"))

    def begin(self, name: str) -> float:
        print(f"{datetime.now():%H:%M:%S}  act {name}", flush=True)
        self.opened = datetime.now(UTC)
        return time.monotonic()

    def end(
        self,
        name: str,
        began: float,
        run: FlowRun,
        expected: Ending,
        may_fail: str | None = None,
        note: str = "",
    ) -> None:
        """Note what the act came to, once all callers hear the same version."""
        seconds = time.monotonic() - began
        version = self.settled()
        state = run.state.type.value if run.state else "?"
        look = self.last_look() if expected.look else ""
        happened = Ending(state, self.journal().state, version, look)
        passed = frozenset((self.first, self.good, self.bad))
        heard = self.crowd.heard(began)
        act = Act(name, expected, happened, heard, seconds, passed, may_fail, note)
        self.acts.append(act)
        print(f"          {act.happened}  {watch.page(run)}", flush=True)

    def live(self, version: str, look: str) -> Ending:
        return Ending("COMPLETED", "LIVE", version, look)

    def deploy(self, version: str, rollout: dict[str, Any]) -> FlowRun:
        return start("deploy", {"version": version, "plan": {"target": "ec2", "rollout": rollout}})

    def journal(self) -> Release:
        return predict.live(self.account, CLASSIFIER)[0]

    def last(self, since: float, version: str) -> float:
        """When that version answered last, `since` when it did not."""
        told = self.crowd.since(since)
        return max((one.at for one in told if one.version == version), default=since)

    def hear(self, run: FlowRun, since: float, version: str) -> float:
        """Wait for the first answer of that version; when it came."""

        def first() -> float | None:
            told = self.crowd.since(since)
            if found := next((one.at for one in told if one.version == version), None):
                return found
            if (now := looked_up(run)).state and now.state.is_final():
                raise DeployFailed(f"version {version} never reached a caller: {now.state.message}")
            return None

        return float(self.wait(first, f"version {version} answers a caller"))

    def settled(self) -> str:
        """The one version of the last answers; what they are of, when they stay mixed."""
        with suppress(WaitTimeout):
            self.wait(lambda: len(self.latest()) == 1, "all callers hear one version", 60)
        return " and ".join(sorted(self.latest()))

    def latest(self) -> set[str]:
        return {one.version for one in self.crowd.told[-_ANSWERS:]}

    def last_look(self) -> str:
        """Share and outcome of the last look that was published during this act."""
        found = Artifact.get(f"rollout-{CLASSIFIER}")
        assert found is None or isinstance(found, objects.Artifact)  # not in a coroutine here
        if found is None or found.updated is None or found.updated < self.opened:
            return "no look"
        share, _, rest = str(found.description).partition(" of the callers")
        return f"{share}: {rest.partition(': ')[2].partition(',')[0]}"

    def wait(self, found: Callable[[], Any], what: str, limit_s: float = _LIMIT_S) -> Any:
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            if answer := found():
                return answer
            time.sleep(0.2)
        raise WaitTimeout(f"not within {limit_s:g} s: {what}")


def main() -> int:
    """0 when every act ended as expected."""
    began = time.monotonic()
    try:
        game = rehearse(Account())
    except ProjectError as error:
        print(f"make gameday: {error}", file=sys.stderr)
        return 1
    print(f"\n{table(game.acts)}\nthe whole rehearsal took {time.monotonic() - began:.0f} s")
    if game.broken:
        print(f"the rehearsal broke off: {game.broken}", file=sys.stderr)
    return 1 if game.broken or any(act.differs for act in game.acts) else 0


def rehearse(account: Account) -> Gameday:
    fault()
    champion = champion_of(account)
    job = f"gameday-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    bucket, mlflow_uri = account.outputs()["ModelsBucket"], account.mlflow_tracking_uri
    good, bad = (
        repack(mlflow_uri, bucket, MODEL, champion.version, f"{job}-{kind}")
        for kind in ("good", "bad")
    )
    print(f"version {champion.version} serves; good: version {good}, bad: version {bad}\n")
    with Crowd(predict.url(CLASSIFIER), callers.of(account).own()) as crowd:
        game = Gameday(account, champion.version, good, bad, crowd)
        try:
            game.play()
        finally:
            fault()
    return game


def champion_of(account: Account) -> Served:
    """What serves on EC2; where nothing serves yet the pipeline runs first."""
    try:
        champion = predict.live(account, CLASSIFIER)[1]
    except NotFound:
        print("nothing serves yet: the pipeline runs first", flush=True)
        asked = demo.Demo(classifier=CLASSIFIER, target="ec2")
        demo.prepare(asked)
        demo.release(asked)
        champion = predict.live(account, CLASSIFIER)[1]
    if champion.target != "ec2":
        raise BadInput(f"{CLASSIFIER} serves on {champion.target}; the rehearsal is of ec2")
    return champion


def start(flow: str, parameters: dict[str, Any]) -> FlowRun:
    run = run_deployment(f"{flow}/{CLASSIFIER}", parameters=parameters, timeout=0, as_subflow=False)
    assert isinstance(run, FlowRun)  # not in a coroutine here
    return run


def ended(run: FlowRun) -> FlowRun:
    """The run at its end, or as it stood when the limit was reached."""
    deadline = time.monotonic() + _LIMIT_S
    while time.monotonic() < deadline and not (run.state and run.state.is_final()):
        time.sleep(0.5)
        run = looked_up(run)
    return run


def looked_up(run: FlowRun) -> FlowRun:
    with get_client(sync_client=True) as client:
        return client.read_flow_run(run.id)


def processes(run: FlowRun) -> list[psutil.Process]:
    """Those of the flow run on this machine; its training job is a machine of its own."""
    return [one for one in psutil.process_iter() if variable(one, _RUN) == str(run.id)]


def variable(process: psutil.Process, name: str) -> str:
    """What the process has in its environment; empty also where that may not be read."""
    with suppress(psutil.Error):
        return process.environ().get(name, "")
    return ""


def kill(run: FlowRun) -> None:
    """SIGKILL to every process of the flow run, as the kernel does when memory is out."""
    found = []
    for process in processes(run):
        with suppress(psutil.Error):
            process.kill()
            found.append(process)
    if not found:
        raise NotFound(f"no process of flow run {run.id} on this machine: is its worker elsewhere?")


def fault(**spec: Any) -> None:
    """Add a fault to the sandbox; without one all are cleared. BadInput on any other AWS."""
    url = f"{aws.client('s3').meta.endpoint_url}/_sandbox/faults"
    try:
        answer = httpx.post(url, json=spec, timeout=30) if spec else httpx.delete(url, timeout=30)
        answer.raise_for_status()
    except httpx.HTTPError as error:
        raise BadInput(f"a rehearsal is for the local stack (make up): {error}") from error


if __name__ == "__main__":
    sys.exit(main())
