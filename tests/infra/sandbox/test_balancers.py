"""A listener really forwards: to which target, after which probes, and what it counts."""

import datetime
import http.server
import itertools
import threading
import time
from collections import Counter

import httpx
import pytest

from infra.sandbox.balancers import Health

NUMBERS = itertools.count(1)
METRICS = "AWS/ApplicationELB"


class Answer(http.server.BaseHTTPRequestHandler):
    """Tells which target this is, and who the target thinks has asked."""

    disable_nagle_algorithm = True

    def do_GET(self):
        self.send_response(200)
        self.send_header("X-Model-Version", self.server.name)
        self.end_headers()
        self.wfile.write(f"{self.server.name} {self.headers.get('X-Forwarded-For')}".encode())

    def log_message(self, *_): ...


class Target:
    """A web server at a loopback address of its own."""

    def __init__(self, name):
        self.server = http.server.ThreadingHTTPServer((f"127.9.9.{next(NUMBERS)}", 0), Answer)
        self.server.name = name
        self.alive = True
        threading.Thread(target=self.server.serve_forever, args=(0.05,)).start()

    def place(self):
        host, port = self.server.server_address
        return {"Id": host, "Port": port}

    def die(self):
        if self.alive:
            self.server.shutdown()
            self.server.server_close()
        self.alive = False


class Balancer:
    """One load balancer, its groups of targets, and a client that asks its listeners."""

    def __init__(self, elb, ec2):
        self.elb = elb
        self.subnets = ec2.describe_subnets()["Subnets"][:2]
        (made,) = elb.create_load_balancer(
            Name="proved", Subnets=[one["SubnetId"] for one in self.subnets], Scheme="internal"
        )["LoadBalancers"]
        self.arn, self.address = made["LoadBalancerArn"], made["DNSName"]
        self.full_name = self.arn.split("loadbalancer/")[1]
        self.heard = Counter()  # the first word of every answer since the beginning
        self.client = httpx.Client(trust_env=False, timeout=60)

    def group(self, name, *targets):
        (made,) = self.elb.create_target_group(
            Name=name, Protocol="HTTP", Port=8000, VpcId=self.subnets[0]["VpcId"],
            TargetType="ip", HealthCheckPath="/", HealthCheckIntervalSeconds=5,
            HealthCheckTimeoutSeconds=4, HealthyThresholdCount=2, UnhealthyThresholdCount=2,
        )["TargetGroups"]  # fmt: skip
        arn = made["TargetGroupArn"]
        if targets:
            self.elb.register_targets(TargetGroupArn=arn, Targets=[t.place() for t in targets])
        return arn

    def listener(self, port, **weights):
        asked = {"Protocol": "HTTP", "Port": port, "DefaultActions": forward(**weights)}
        made = self.elb.create_listener(LoadBalancerArn=self.arn, **asked)
        return made["Listeners"][0]["ListenerArn"]

    def ask(self, port, **headers):
        answer = self.client.get(f"http://{self.address}:{port}/", headers=headers)
        self.heard[answer.text.split()[0]] += 1
        return answer

    def answers(self, port, number):
        """How many of so many requests each target answered."""
        return Counter(self.ask(port).text.split()[0] for _ in range(number))

    def health(self, arn):
        told = self.elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        return {one["Target"]["Id"]: one["TargetHealth"] for one in told}

    def states(self, arn):
        return [one["State"] for one in self.health(arn).values()]


def forward(**weights):
    told = [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in weights.values()]
    return [{"Type": "forward", "ForwardConfig": {"TargetGroups": told}}]


def until(true, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not so after {seconds} s"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def targets():
    made = {name: Target(name) for name in ("blue", "green", "strong", "weak")}
    yield made
    for target in made.values():
        target.die()


@pytest.fixture(scope="module")
def balancer(aws, targets):
    made = Balancer(aws("elbv2"), aws("ec2"))
    made.blue = made.group("blue", targets["blue"])
    made.green = made.group("green", targets["green"])
    made.pair = made.group("pair", targets["strong"], targets["weak"])
    made.empty = made.group("empty")
    made.weighted = made.listener(8000, blue=(made.blue, 100), green=(made.green, 0))
    made.listener(8001, pair=(made.pair, 1))
    made.listener(8002, empty=(made.empty, 1))
    until(
        lambda: (
            [made.states(g) for g in (made.blue, made.green, made.pair)]
            == [["healthy"], ["healthy"], ["healthy", "healthy"]]
        )
    )
    yield made
    made.client.close()
    made.elb.delete_load_balancer(LoadBalancerArn=made.arn)


@pytest.fixture
def weigh(balancer):
    """Set the weights of blue and green."""

    def weigh(blue, green):
        actions = forward(blue=(balancer.blue, blue), green=(balancer.green, green))
        balancer.elb.modify_listener(ListenerArn=balancer.weighted, DefaultActions=actions)

    return weigh


def sums(aws, name, balancer, group):
    """The metric of the last minutes, of one group's answers or of the whole load balancer."""
    dimensions = {"LoadBalancer": balancer.full_name}
    if group:
        dimensions["TargetGroup"] = group.rsplit(":", 1)[1]
    now = datetime.datetime.now(datetime.UTC)
    told = aws("cloudwatch").get_metric_statistics(
        Namespace=METRICS, MetricName=name, Period=60, Statistics=["Sum"],
        StartTime=now - datetime.timedelta(minutes=10), EndTime=now + datetime.timedelta(minutes=1),
        Dimensions=[{"Name": n, "Value": v} for n, v in dimensions.items()],
    )  # fmt: skip
    return sum(point["Sum"] for point in told["Datapoints"])


def test_changed_weights_count_for_the_next_request(balancer, weigh):
    weigh(100, 0)
    before = balancer.answers(8000, 20)
    weigh(0, 100)
    after = balancer.answers(8000, 20)

    assert (before, after) == ({"blue": 20}, {"green": 20})


def test_equal_weights_share_the_requests(balancer, weigh):
    weigh(50, 50)

    shares = balancer.answers(8000, 100)

    assert 20 < shares["blue"] < 80
    assert shares["blue"] + shares["green"] == 100


def test_a_group_without_targets_answers_503(balancer):
    answer = balancer.ask(8002)

    assert answer.status_code == 503
    assert answer.headers["server"] == "awselb/2.0"


def test_the_target_is_told_who_asked(balancer, weigh):
    weigh(1, 0)

    assert balancer.ask(8000).text == "blue 127.0.0.1"
    assert balancer.ask(8000, **{"X-Forwarded-For": "10.1.2.3"}).text == "blue 10.1.2.3, 127.0.0.1"


def test_a_dead_target_gets_no_traffic(balancer, targets):
    assert set(balancer.answers(8001, 40)) == {"strong", "weak"}

    targets["weak"].die()
    until(lambda: "unhealthy" in balancer.states(balancer.pair))

    told = balancer.health(balancer.pair)[targets["weak"].place()["Id"]]
    assert told == {
        "State": "unhealthy",
        "Reason": "Target.FailedHealthChecks",
        "Description": "Health checks failed",
    }
    assert balancer.answers(8001, 20) == {"strong": 20}

    targets["strong"].die()
    until(lambda: balancer.ask(8001).status_code == 502)
    assert balancer.ask(8001).status_code == 502


def test_requests_are_counted_in_cloudwatch(balancer, aws, weigh):
    weigh(0, 1)
    balancer.answers(8000, 7)
    balancer.ask(8002)
    heard = balancer.heard

    until(lambda: sums(aws, "RequestCount", balancer, balancer.green) == heard["green"])
    until(lambda: sums(aws, "RequestCount", balancer, None) == heard.total())
    own = heard["Service"] + heard["Bad"]
    until(lambda: sums(aws, "HTTPCode_ELB_5XX_Count", balancer, None) == own)
    until(lambda: sums(aws, "TargetConnectionErrorCount", balancer, balancer.pair) >= 1)


def test_one_version_fails_while_the_other_answers(balancer, sandbox, weigh):
    weigh(50, 50)
    sandbox.fault(kind="failing-version", name="green", times=1000)

    answers = [balancer.ask(8000) for _ in range(40)]
    sandbox.clear_faults()

    told = {(one.headers["X-Model-Version"], one.status_code) for one in answers}
    assert told == {("blue", 200), ("green", 500)}
    assert {balancer.ask(8000).status_code for _ in range(20)} == {200}


def test_a_listener_that_takes_the_place_of_another_forwards(balancer):
    def answer():
        try:
            return balancer.ask(8003).text.split()[0]
        except httpx.TransportError:
            return None

    first = balancer.listener(8003, blue=(balancer.blue, 1))
    until(lambda: answer() == "blue")
    balancer.elb.delete_listener(ListenerArn=first)
    balancer.listener(8003, green=(balancer.green, 1))

    until(lambda: answer() == "green")


def test_a_target_that_failed_has_to_pass_more_than_once():
    health = Health(state="unhealthy")

    health.passed(needed=2)
    assert health.state == "unhealthy"

    health.passed(needed=2)
    assert (health.state, health.reason) == ("healthy", None)


def test_one_failed_probe_takes_no_target_away():
    health = Health(state="healthy")

    health.failed(2, "Target.Timeout", "Request timed out")
    health.passed(needed=2)
    health.failed(2, "Target.Timeout", "Request timed out")

    assert health.state == "healthy"
