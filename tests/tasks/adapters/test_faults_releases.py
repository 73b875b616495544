"""What releases ask of CloudFormation, SSM, ELBv2, SageMaker and CloudWatch, under every fault."""

import io
import json
import tarfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from plugins.faults import PASSING, STAYING, Rows

from tasks.adapters import (
    aws,
    colours,
    commands,
    scaling,
    stacks,
    traffic,
    updates,
    variants,
)
from tasks.records import Place, Served

BUCKET = "faults-served"
READY = """
import http.server, os
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
port = int(os.environ["SAGEMAKER_BIND_TO_PORT"])
http.server.ThreadingHTTPServer(("127.0.0.1", port), Ready).serve_forever()
"""
ONE = Served("1", f"s3://{BUCKET}/model.tar.gz", "a" * 64, "sagemaker")
TWO = replace(ONE, version="2")
TOPIC = 'Resources: {Topic: {Type: "AWS::SNS::Topic", Properties: {DisplayName: "%s"}}}'
TAGS = {"Project": "perennial"}
HANGING = {"run_command-SendCommand", "make_model-CreateModel"}
ROWS = Rows()


@pytest.fixture(scope="module", autouse=True)
def world(sandbox, quick_aws):
    """An image that is ready at once and a model to start it with; its endpoints go again."""
    images = sandbox.state / "images"
    images.mkdir(exist_ok=True)
    image = f"FROM scratch\nENTRYPOINT {json.dumps(['python', '-c', READY])}\n"
    (images / "ready.Dockerfile").write_text(image)
    archive = io.BytesIO()
    tarfile.open(fileobj=archive, mode="w:gz").close()
    s3, sagemaker = aws.client("s3"), aws.client("sagemaker")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="model.tar.gz", Body=archive.getvalue())
    yield
    for one in sagemaker.list_endpoints(NameContains="faults-")["Endpoints"]:
        there = place(one["EndpointName"].split("-")[1])
        updates.settled(sagemaker, there)
        updates.delete(sagemaker, there)


def place(case):
    told = {"classifier": "news", "project": "faults", "environment": case, "max_chars": 1000}
    told |= {"image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/ready:1"}
    told |= {"role_arn": "arn:aws:iam::123456789012:role/perennial-test"}
    told |= {"topic_arn": "arn:aws:sns:us-east-1:123456789012:perennial-test"}
    told |= {"instance_type": "ml.c7i.large"}
    return Place(**dict.fromkeys(Place.__dataclass_fields__, "") | told)


@ROWS("cloudformation", "UpdateStack", "CreateStack")
def ensure_stack(case):
    cloudformation = aws.client("cloudformation")

    def ensure(display):
        stacks.ensure(cloudformation, case, TOPIC % display, {}, TAGS, f"{case}-{display}")

    if case.startswith("UpdateStack"):
        ensure("first")

    def made():
        found = cloudformation.list_stacks()["StackSummaries"]
        there = [one["StackName"] for one in found].count(case)
        if not case.startswith("UpdateStack"):
            return there
        return "last" in cloudformation.get_template(StackName=case)["TemplateBody"]

    return lambda: ensure("last"), made


@cache
def instance():
    asked = {"ImageId": "ami-12c6146b", "MinCount": 1, "MaxCount": 1}
    return aws.client("ec2").run_instances(**asked)["Instances"][0]["InstanceId"]


@ROWS("ssm", "ListCommands", "SendCommand")
def run_command(case):
    ssm, name, script = aws.client("ssm"), instance(), {"commands": "true"}
    return (
        lambda: commands.run(ssm, name, "AWS-RunShellScript", script, case),
        lambda: len(commands.sent(ssm, name, case)),
    )


@ROWS("ssm", "GetCommandInvocation")
def await_command(case):
    return run_command(case)[0], None


@cache
def listener():
    elbv2, ec2 = aws.client("elbv2"), aws.client("ec2")
    subnets = [one["SubnetId"] for one in ec2.describe_subnets()["Subnets"][:2]]
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    asked = {"Protocol": "HTTP", "Port": 8000, "VpcId": vpc}
    arns = {
        f"{colour}TargetGroupArn": elbv2.create_target_group(Name=f"faults-{colour}", **asked)[
            "TargetGroups"
        ][0]["TargetGroupArn"]
        for colour in ("Blue", "Green")
    }
    balancer = elbv2.create_load_balancer(Name="faults", Subnets=subnets)["LoadBalancers"][0]
    made = elbv2.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"],
        Protocol="HTTP",
        Port=80,
        DefaultActions=[colours.forward({arns["BlueTargetGroupArn"]: 100})],
    )
    return {**arns, "ListenerArn": made["Listeners"][0]["ListenerArn"]}


@ROWS("elbv2", "ModifyListener")
def shift_listener(case):
    elbv2, out, some = aws.client("elbv2"), listener(), {"Blue": 70, "Green": 30}
    colours.set_split(elbv2, out, {"Blue": 100, "Green": 0})
    return (
        lambda: colours.set_split(elbv2, out, some),
        lambda: int(colours.split(elbv2, out) == some),
    )


@ROWS("elbv2", "AddTags")
def mark_colour(case):
    elbv2, out = aws.client("elbv2"), listener()
    return (
        lambda: colours.mark(elbv2, out, "Green", case, case),
        lambda: int(colours.version(elbv2, out, "Green") == case),
    )


@ROWS("elbv2", "DescribeTargetHealth", "DescribeTags")
def look_at_colour(case):
    elbv2, out = aws.client("elbv2"), listener()
    return lambda: (colours.health(elbv2, out, "Blue"), colours.of(elbv2, out, case)), None


@ROWS("cloudwatch", "GetMetricData")
def read_traffic(case):
    now = datetime.now(UTC)
    asked = traffic.VARIANT, [("1", {"VariantName": case})], now - timedelta(minutes=1), now, 0.5
    return lambda: traffic.arms(aws.client("cloudwatch"), *asked), None


def named(kind, case):
    """How many models, endpoint configs or endpoints of this case there are."""
    pages = aws.client("sagemaker").get_paginator(f"list_{kind}s")
    key = {"model": "Models", "endpoint_config": "EndpointConfigs", "endpoint": "Endpoints"}[kind]

    def made():
        names = [one[f"{key[:-1]}Name"] for page in pages.paginate() for one in page[key]]
        return sum(name.startswith(f"faults-{case}-") for name in names)

    return made


@ROWS("sagemaker", "CreateModel")
def make_model(case):
    sagemaker = aws.client("sagemaker")
    return (
        lambda: variants.ensure_model(sagemaker, place(case), ONE),
        named("model", case),
    )


def config(case, *split):
    """An endpoint config of versions with their weights, and the models of it."""
    sagemaker, where = aws.client("sagemaker"), place(case)
    for served, _ in split:
        variants.ensure_model(sagemaker, where, served)
    specs = [variants.spec(where, served, weight) for served, weight in split]
    return lambda: variants.ensure_config(sagemaker, where, specs)


@ROWS("sagemaker", "CreateEndpointConfig")
def make_config(case):
    return config(case, (ONE, 1)), named("endpoint_config", case)


@ROWS("sagemaker", "CreateEndpoint")
def create_endpoint(case):
    sagemaker, made = aws.client("sagemaker"), config(case, (ONE, 1))()
    return (
        lambda: updates.create(sagemaker, place(case), made, "op"),
        named("endpoint", case),
    )


@ROWS("sagemaker", "UpdateEndpoint")
def update_endpoint(case):
    sagemaker, where = aws.client("sagemaker"), place(case)
    updates.create(sagemaker, where, config(case, (ONE, 1))(), "op")
    both = config(case, (ONE, 1), (TWO, 0))()
    updates.settled(sagemaker, where)

    def begun():
        found = updates.seen(sagemaker, where)
        return found["EndpointStatus"] == "Updating" or found["EndpointConfigName"] == both

    return lambda: updates.update(sagemaker, where, both, "v2"), begun


@ROWS("sagemaker", "UpdateEndpointWeightsAndCapacities")
def shift_weights(case):
    sagemaker, where = aws.client("sagemaker"), place("shift")
    if updates.seen(sagemaker, where) is None:
        made = config("shift", (ONE, 1), (TWO, 0))()
        updates.create(sagemaker, where, made, "op")
    some = {"v1": 70, "v2": 30}
    updates.shift(sagemaker, where, updates.there(sagemaker, where), {"v1": 100})
    return (
        lambda: updates.shift(sagemaker, where, updates.there(sagemaker, where), some),
        lambda: int(updates.weights(updates.there(sagemaker, where)) == some),
    )


@ROWS("cloudwatch", "PutMetricAlarm")
def make_alarm(case):
    cloudwatch = aws.client("cloudwatch")
    return (
        lambda: variants.ensure_alarm(cloudwatch, place(case), "v1"),
        lambda: len(cloudwatch.describe_alarms(AlarmNamePrefix=f"faults-{case}-")["MetricAlarms"]),
    )


@ROWS("application-autoscaling", "PutScalingPolicy", "RegisterScalableTarget")
def scale(case):
    client, where = aws.client("application-autoscaling"), place("shift").prefix
    return lambda: scaling.ensure(client, where, "v1"), None


@pytest.mark.parametrize("kind", PASSING)
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_what_passes_is_not_noticed(trial, row, kind):
    trial.passes(row, kind)


@pytest.mark.parametrize("kind", STAYING)
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_what_stays_ends_the_step(trial, row, kind):
    trial.stays(row, kind)


@pytest.mark.parametrize("row", [one for one in ROWS if str(one) in HANGING], ids=str)
def test_a_hanging_call_is_given_up_and_made_once(trial, row):
    trial.hangs(row)
