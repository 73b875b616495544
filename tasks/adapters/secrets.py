"""Values in AWS Secrets Manager, by name."""

from typing import Any

from botocore.exceptions import ClientError


def read(client: Any, name: str) -> str | None:
    """The value now; None when there is no such secret or nothing in it."""
    try:
        return str(client.get_secret_value(SecretId=name)["SecretString"])
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        return None


def write(client: Any, name: str, value: str, tags: dict[str, str]) -> None:
    """Make the secret or change its value."""
    try:
        client.put_secret_value(SecretId=name, SecretString=value)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        given = [{"Key": key, "Value": tag} for key, tag in tags.items()]
        client.create_secret(Name=name, SecretString=value, Tags=given)
