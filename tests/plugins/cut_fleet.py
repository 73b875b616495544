"""One place on EC2 in the sandbox, and a process that dies right after one of its effects there.

The stack, its load balancer and its commands are the sandbox's; the model server is a stand-in.
"""

import re
from collections import Counter
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import count
from pathlib import Path
from textwrap import indent
from typing import Any

from plugins.sudden_death import Killed

from tasks.adapters import aws, colours, fleet, probes, stacks, waits
from tasks.records import Place, Served

BUCKET = "cut-models"
TEMPLATE = Path(__file__).resolve().parents[2] / "infra/cloudformation/ec2-serving.yaml"
LOOKS = ("Describe", "Get", "List")
SERVER = """
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.send_header("X-Model-Version", os.environ["MODEL_VERSION"])
        self.send_header("X-Bundle-Digest", os.environ["DIGEST"])
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_GET

    def log_message(self, *told): ...

ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Answers).serve_forever()
"""
# In the place of what fetches an image and a bundle, and as slow as the test wants.
SCRIPT = """
#!/bin/bash
set -euo pipefail
while [ -e '{holds}/{{{{ ModelVersion }}}}' ]; do sleep 0.1; done
docker rm -f perennial > /dev/null 2>&1 || true
docker run -d --name perennial -p 8000:8080 -e 'MODEL_VERSION={{{{ ModelVersion }}}}' \
  -e 'DIGEST={{{{ BundleDigest }}}}' '{{{{ ImageUri }}}}'
address="$(cat "$SANDBOX_INSTANCE/address"):8000"
for look in $(seq 1 300); do
  curl -fs -o /dev/null "http://$address/ping" && exit 0
  sleep 0.1
done
exit 1
"""
# Health that is told soon, and that a busy machine does not end.
QUICK = {
    "HealthCheckIntervalSeconds": 2,
    "HealthCheckTimeoutSeconds": 1,
    "UnhealthyThresholdCount": 10,
}
NUMBERS = count(1)


class World:
    """One place, who may answer there, and a process that dies right after one of its effects."""

    def __init__(self, image: str, folder: Path) -> None:
        self.holds = folder / "holds"
        self.holds.mkdir(parents=True)
        self.template = folder / "ec2-serving.yaml"
        self.place = Place(
            classifier=f"cut{next(NUMBERS)}",
            task="news-topic",
            target="ec2",
            project="perennial",
            environment="cut",
            image=image,
            role_arn="arn:aws:iam::123456789012:role/perennial-test",
            instance_profile="cut-test",
            topic_arn="arn:aws:sns:us-east-1:123456789012:perennial-test",
            template=str(self.template),
            vpc_id="",
            instance_type="c7i.large",
            max_chars=20_000,
            models_bucket=BUCKET,
        )
        self.stack = f"{self.place.prefix}-ec2"
        self.champion: Served | None = None
        self.former: Served | None = None
        self.tried: set[str] = set()
        self.clients: dict[str, Any] = {}
        self.effects: list[str] = []
        self.dies_after, self.looks = 0, Counter[str]()

    def client(self, service: str) -> Any:
        """As the flows have it; the process dies with the answer in its hands."""
        if service not in self.clients:
            self.clients[service] = aws.client(service)
            self.clients[service].meta.events.register("after-call", self.reached)
        return self.clients[service]

    def reached(self, model: Any, **_: Any) -> None:
        if model.name.startswith(LOOKS):
            self.looks[model.name] += 1
            # It waits for the command of another, or for its own: who goes on looks three times.
            if self.looks["ListCommands"] > 3 or self.looks["GetCommandInvocation"] > 20:
                self.let_go()
            return
        self.effects.append(model.name)
        self.check()
        if len(self.effects) == self.dies_after:
            raise Killed

    def step(self, name: str, release: "Release", dies_after: int = 0) -> int:
        """One step; how many effects it had."""
        verb, *percent = name.split()
        self.effects, self.looks, self.dies_after = [], Counter(), dies_after
        write_template(self.template, self.holds, release.op_id)
        asked: tuple[Any, ...] = (self.place, release.served, release.op_id)
        if verb == "recover":
            asked = (self.stack, BUCKET)
        getattr(fleet, verb)(self.client, *asked, *map(int, percent))
        if verb == "stage":
            self.tried.add(release.version)
        self.check()
        return len(self.effects)

    def committed(self, release: "Release") -> None:
        self.tried = {release.version}
        if self.champion != release.served:
            self.champion, self.former = release.served, self.champion
        self.let_go()
        self.check()

    def back(self) -> None:
        """All callers have the champion."""
        if self.champion:
            self.tried = {self.champion.version}
        self.check()

    def check(self) -> None:
        """Once there was a champion, callers are answered by it or by what was tried beside it."""
        if self.champion is None:
            return
        out = self.out
        for colour, weight in colours.split(client("elbv2"), out).items():
            assert not weight or self.answered(out, colour) in self.tried, f"{colour} has {weight}"

    def called(self) -> str:
        """What a caller meets."""
        if self.champion is None:
            return ""
        before = set(self.tried)
        answer = probes.ask(self.out["EndpointUrl"], probes.HELLO, "a caller")
        assert answer.status == 200, answer
        assert answer.version in before | self.tried, answer
        return answer.version

    @cached_property
    def out(self) -> dict[str, str]:
        return stacks.outputs(client("cloudformation"), self.stack) or {}

    def answered(self, out: dict[str, str], colour: str) -> str:
        return probes.ask(out["TestUrl"], probes.HELLO, "a test", colours.naming(colour)).version

    def hold(self, release: "Release") -> None:
        """Its command takes until somebody waits for it."""
        (self.holds / release.version).touch()

    def let_go(self) -> None:
        for one in self.holds.iterdir():
            one.unlink()

    def sent(self, release: "Release") -> int:
        return len([one for one in self.commands() if one["Comment"] == release.op_id])

    def commands(self) -> list[Any]:
        pages = client("ssm").get_paginator("list_commands").paginate()
        found = [one for page in pages for one in page["Commands"]]
        mine = {self.out[f"{colour}InstanceId"] for colour in colours.COLOURS}
        return [one for one in found if mine & set(one["InstanceIds"])]

    def settled(self) -> None:
        """What commands that nobody waits for do in the end."""
        self.let_go()
        running = ("Pending", "InProgress")
        waits.until(
            lambda: None if [1 for one in self.commands() if one["Status"] in running] else True,
            60,
            lambda: "a command runs on",
        )
        self.check()

    def state(self) -> dict[str, Any]:
        """Who answers where, what each side is marked with, and what there is."""
        self.settled()
        out, elbv2 = self.out, client("elbv2")
        split = colours.split(elbv2, out)
        (serving,) = (colour for colour in split if split[colour] == 100)
        (test,) = elbv2.describe_listeners(ListenerArns=[out["TestListenerArn"]])["Listeners"]
        (led,) = test["DefaultActions"][0]["ForwardConfig"]["TargetGroups"]
        sides = (serving, colours.other(serving))
        return {
            "weights": [split[side] for side in sides],
            "answer": [self.answered(out, side) for side in sides],
            "marked": [colours.version(elbv2, out, side) for side in sides],
            "tests reach": [out[f"{c}TargetGroupArn"] == led["TargetGroupArn"] for c in sides],
            "there": self.there(out),
        }

    def there(self, out: dict[str, str]) -> dict[str, Any]:
        """How many of each, whoever made them."""
        elbv2, name = client("elbv2"), self.place.prefix
        listeners = [out["ListenerArn"], out["TestListenerArn"]]
        balancer = elbv2.describe_listeners(ListenerArns=listeners)["Listeners"][0]
        arn = balancer["LoadBalancerArn"]
        instances = client("ec2").describe_instances(
            Filters=[
                {"Name": "tag:Name", "Values": [f"{name}-blue", f"{name}-green"]},
                {"Name": "instance-state-name", "Values": ["pending", "running"]},
            ]
        )["Reservations"]
        stacks_found = client("cloudformation").describe_stacks()["Stacks"]
        return {
            "stacks": sum(one["StackName"].startswith(f"{name}-") for one in stacks_found),
            "instances": sum(len(one["Instances"]) for one in instances),
            "listeners": len(elbv2.describe_listeners(LoadBalancerArn=arn)["Listeners"]),
            "rules": [len(elbv2.describe_rules(ListenerArn=one)["Rules"]) for one in listeners],
            "groups": len(elbv2.describe_target_groups(LoadBalancerArn=arn)["TargetGroups"]),
        }


@dataclass(frozen=True)
class Release:
    served: Served
    op_id: str

    @property
    def version(self) -> str:
        return self.served.version


def release_of(served: Served | None = None) -> Release:
    number = next(NUMBERS)
    made = Served(str(number), f"s3://{BUCKET}/{number}/model.tar.gz", f"{number:064x}", "ec2")
    return Release(served or made, f"op-{number}")


def write_template(path: Path, holds: Path, op_id: str) -> None:
    """The real one with a command that is quick, health that is told soon, and a new listener."""
    text = TEMPLATE.read_text("utf-8")
    for name, seconds in QUICK.items():
        text, found = re.subn(rf"{name}: \d+", f"{name}: {seconds}", text)
        assert found == 2
    head, tail = text.index("                - |\n"), text.index("\nOutputs:")
    script = indent(SCRIPT.format(holds=holds).strip(), " " * 18)
    text = f"{text[:head]}                - |\n{script}\n{text[tail:]}"
    port = "      Port: !Ref ListenerPort\n"
    tags = f"      Tags: [{{Key: Operation, Value: {op_id}}}]\n"
    path.write_text(text.replace(port, f"{port}{tags}"), "utf-8")


@cache
def client(service: str) -> Any:
    return aws.client(service)
