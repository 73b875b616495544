import asyncio
import json

import pytest
from pydantic import ValidationError

from serving.plan import NoPlan, Plan, PlanFile

ONE = {"version": "7", "path": "/models/7"}
FETCHED = {"version": "8", "uri": "s3://models/8/model.tar.gz", "digest": "d" * 64}


def read(file) -> Plan:
    return asyncio.run(PlanFile(file).read())


def test_a_version_alone_is_the_primary():
    assert Plan.model_validate({"versions": [ONE]}).leading == "7"


def test_the_plan_says_which_of_several_is_the_primary():
    plan = Plan.model_validate({"primary": "8", "versions": [ONE, FETCHED]})

    assert plan.leading == "8"


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        ({"versions": []}, "at least 1 item"),
        ({"versions": [ONE, FETCHED]}, "primary must be one of 7, 8"),
        ({"primary": "9", "versions": [ONE]}, "primary must be 7, the only version"),
        ({"primary": "7", "versions": [ONE, ONE]}, "versions must differ, they are 7, 7"),
        ({"versions": [{**ONE, "weight": 0}]}, "one version at least needs a weight over 0"),
        ({"versions": [{**ONE, "weight": -1}]}, "greater than or equal to 0"),
        ({"versions": [{**ONE, "uri": "s3://a/b"}]}, "give either path or uri"),
        ({"versions": [{"version": "7"}]}, "give either path or uri"),
        ({"versions": [{**FETCHED, "digest": ""}]}, "a uri needs the digest"),
        ({"versions": [{**FETCHED, "uri": "https://a/b"}]}, "should match pattern"),
        ({"versions": [{**ONE, "version": "a b"}]}, "should match pattern"),
        ({"versions": [ONE], "typo": 1}, "Extra inputs are not permitted"),
    ],
)
def test_a_plan_that_does_not_add_up_is_refused_with_the_reason(plan, reason):
    with pytest.raises(ValidationError, match=reason):
        Plan.model_validate_json(json.dumps(plan))


def test_a_plan_file_is_read_as_it_is_now(tmp_path):
    file = tmp_path / "plan.json"
    file.write_text(json.dumps({"versions": [ONE]}))
    first = read(file)
    file.write_text(json.dumps({"versions": [FETCHED]}))

    assert (first.leading, read(file).leading) == ("7", "8")


def test_a_plan_file_that_is_none_says_so_in_one_line(tmp_path):
    missing, cut, wrong = (tmp_path / name for name in ("missing", "cut", "wrong"))
    cut.write_text('{"versions": [')
    wrong.write_text('{"versions": [{"version": "7", "path": "/m", "weight": "much"}]}')

    with pytest.raises(NoPlan, match=r"^PLAN_FILE=.*missing: No such file or directory$"):
        read(missing)
    with pytest.raises(NoPlan, match=r"^PLAN_FILE=.*cut: Invalid JSON"):
        read(cut)
    with pytest.raises(NoPlan, match=r"wrong: versions\.0\.weight: Input should be a valid number"):
        read(wrong)
