from itertools import count

import pytest

from tasks.adapters import aws, stacks

_NUMBERS = count()


TEMPLATE = """
Parameters:
  Name: {Type: String}
Resources:
  Topic: {Type: "AWS::SNS::Topic", Properties: {DisplayName: "%s"}}
Outputs:
  TopicArn: {Value: !Ref Topic}
"""


def template(display="first"):
    return TEMPLATE % display


@pytest.fixture
def cloudformation(sandbox):
    return aws.client("cloudformation")


@pytest.fixture
def name():
    return f"stacks-{next(_NUMBERS)}"


def ensure(cloudformation, name, text, token="t", value="x"):
    return stacks.ensure(
        cloudformation, name, text, {"Name": value}, {"Project": "perennial"}, f"{name}-{token}"
    )


def test_absent_stack_has_no_outputs(cloudformation, name):
    assert stacks.outputs(cloudformation, name) is None


def test_making_a_stack_twice_makes_it_once(cloudformation, name, sandbox):
    first = ensure(cloudformation, name, template())
    sandbox.clear_calls()

    again = ensure(cloudformation, name, template())

    assert again == first == stacks.outputs(cloudformation, name)
    asked = {call["action"] for call in sandbox.calls()}
    assert not asked & {"CreateStack", "UpdateStack"}


def test_a_changed_parameter_updates_the_stack(cloudformation, name):
    ensure(cloudformation, name, template())

    ensure(cloudformation, name, template(), token="u", value="y")

    (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    assert [one["ParameterValue"] for one in stack["Parameters"]] == ["y"]


def test_a_changed_template_updates_the_stack(cloudformation, name, sandbox):
    ensure(cloudformation, name, template())

    ensure(cloudformation, name, template("second"), token="u")

    told = cloudformation.get_template(StackName=name)["TemplateBody"]
    assert "second" in told


def test_a_lost_answer_still_makes_one_stack(cloudformation, name, sandbox):
    sandbox.fault(service="cloudformation", action="CreateStack", kind="commit-then-500")

    assert "TopicArn" in ensure(cloudformation, name, template())
