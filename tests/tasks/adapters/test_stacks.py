from itertools import count

import pytest
from botocore.exceptions import ClientError

from tasks.adapters import aws, stacks
from tasks.errors import NotFound

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


@pytest.fixture
def kept(cloudformation, name):
    """A stack after an update, and what it was made from before."""
    found = []
    ensure(cloudformation, name, template())
    token = f"{name}-u"
    stacks.ensure(
        *(cloudformation, name, template("second"), {"Name": "y"}, {}, token), keep=found.append
    )
    return found


def test_an_update_can_be_taken_back_once(cloudformation, name, kept, sandbox):
    (before,) = kept

    told = stacks.recover(cloudformation, name, before)
    sandbox.clear_calls()
    again = stacks.recover(cloudformation, name, before)

    assert "that it had before its update" in told
    assert "nothing to take back" in again
    assert "UpdateStack" not in {call["action"] for call in sandbox.calls()}
    assert "first" in cloudformation.get_template(StackName=name)["TemplateBody"]
    (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    assert [one["ParameterValue"] for one in stack["Parameters"]] == ["x"]


def test_what_a_stack_was_made_from_is_remembered(sandbox, name, kept):
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="stacks-models")

    stacks.write_made(s3, "stacks-models", name, kept[0])

    assert stacks.read_made(s3, "stacks-models", name) == kept[0]
    assert stacks.read_made(s3, "stacks-models", f"{name}-other") is None


def test_a_stack_that_is_not_there_cannot_be_taken_back(cloudformation, name):
    with pytest.raises(NotFound, match=f"there is no stack {name}"):
        stacks.recover(cloudformation, name, None)


class Walking:
    """Stand in for CloudFormation, which moto ends every update of at once: a walk of statuses."""

    def __init__(self, *statuses, refused=False):
        self.statuses, self.refused, self.asked = list(statuses), refused, []

    def describe_stacks(self, StackName):  # noqa: N803
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return {"Stacks": [{"StackStatus": status, "Parameters": []}]}

    def get_template(self, StackName):  # noqa: N803
        return {"TemplateBody": "new"}

    def cancel_update_stack(self, StackName):  # noqa: N803
        self.asked.append("cancel")
        if self.refused:
            told = {"Code": "ValidationError", "Message": "cannot be called from current status"}
            raise ClientError({"Error": told}, "CancelUpdateStack")

    def continue_update_rollback(self, StackName):  # noqa: N803
        self.asked.append("continue")

    def update_stack(self, **asked):
        self.asked.append(asked["TemplateBody"])


@pytest.mark.parametrize(
    ("walk", "asked"),
    [
        (("UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"), ["cancel"]),
        (("UPDATE_ROLLBACK_FAILED", "UPDATE_ROLLBACK_COMPLETE"), ["continue"]),
        (("UPDATE_ROLLBACK_COMPLETE",), []),
        (("UPDATE_COMPLETE",), ["old"]),
    ],
)
def test_each_state_of_a_stack_has_its_way_back(walk, asked):
    cloudformation = Walking(*walk)

    stacks.recover(cloudformation, "any", stacks.Made("old", {}))

    assert cloudformation.asked == asked


def test_an_update_that_ended_before_it_was_cancelled_is_undone():
    cloudformation = Walking("UPDATE_IN_PROGRESS", "UPDATE_COMPLETE", refused=True)

    stacks.recover(cloudformation, "any", stacks.Made("old", {}))

    assert cloudformation.asked == ["cancel", "old"]
