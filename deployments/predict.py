"""Ask a classifier's live endpoint, as `make predict` does."""

import json
import sys
from typing import Any

import httpx
from pydantic import Field
from pydantic_settings import BaseSettings

from deployments import callers
from deployments.account import Account
from tasks.adapters import aws, journal, stacks
from tasks.errors import NotFound, ProjectError
from tasks.records import Release, Served, endpoint


class Question(BaseSettings):
    """What the Makefile passes on."""

    classifier: str = Field(min_length=1)
    text: str = Field(min_length=1)


def main() -> int:
    """Print the answer as JSON; 1 with one clear line when nothing serves."""
    question = Question()
    try:
        print(json.dumps(ask(question.classifier, question.text), indent=1))
    except ProjectError as error:
        print(f"make predict: {error}", file=sys.stderr)
        return 1
    return 0


def ask(classifier: str, text: str) -> dict[str, Any]:
    """The answer of whatever target the release journal says is live."""
    account = Account()
    _, champion = live(account, classifier)
    if champion.target == "ec2":
        answer = httpx.post(
            f"{url(classifier)}/predict",
            json={"text": text},
            headers={"X-API-Key": callers.of(account).own()},
            timeout=30,
        )
        answer.raise_for_status()
        return dict(answer.json())
    invoked = aws.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=endpoint(f"{account.stack}-{classifier}", champion.target),
        ContentType="application/json",
        Body=json.dumps({"text": text}),
    )
    return dict(json.loads(invoked["Body"].read()))


def live(account: Account, classifier: str) -> tuple[Release, Served]:
    """The release and what it made champion, by the journal; NotFound when nothing serves."""
    key = f"releases/{account.environment}/{classifier}/journal.json"
    found = journal.read(aws.client("s3"), account.outputs()["ModelsBucket"], key)
    if found is None or found.champion is None:
        raise NotFound(
            f"nothing serves {classifier} in {account.environment}: "
            f"run prefect deployment run 'pipeline/{classifier}'"
        )
    return found, found.champion


def url(classifier: str) -> str:
    """The public URL of the classifier's EC2 stack."""
    name = f"{Account().stack}-{classifier}-ec2"
    if (found := stacks.outputs(aws.client("cloudformation"), name)) is None:
        raise NotFound(f"there is no stack {name}; run deploy for {classifier}")
    return found["EndpointUrl"]


if __name__ == "__main__":
    sys.exit(main())
