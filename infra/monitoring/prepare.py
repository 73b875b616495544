"""`make monitoring`: all that Prometheus, Alertmanager and Grafana read, in one folder.

Asked again, for another classifier say, it adds to the folder; Grafana's password stays.
"""

import os
import shutil
import sys
from pathlib import Path
from secrets import token_urlsafe
from string import Template
from typing import Any
from urllib.parse import urlsplit

import yaml
from pydantic import AliasChoices, Field, SecretStr

from deployments import callers, predict
from deployments.account import Account
from infra.monitoring import dashboards
from tasks.errors import ProjectError

HERE = Path(__file__).parent
_DATA = ("data/prometheus", "data/alertmanager", "data/grafana")


class Monitoring(Account):
    """What is watched, and whom alerts reach; each field is a variable."""

    folder: Path = Field(Path(".perennial/monitoring"), validation_alias="MONITORING_FOLDER")
    classifier: str = Field("", validation_alias="CLASSIFIER")
    endpoint: str = Field("", validation_alias="ENDPOINT", pattern=r"^(https?://[^/\s]+/?)?$")
    endpoint_key: SecretStr = Field(SecretStr(""), validation_alias="ENDPOINT_API_KEY")
    alert_email: str = Field(
        "", validation_alias=AliasChoices("ALERT_EMAIL", "PERENNIAL_ALERT_EMAIL")
    )
    smtp_host: str = Field("", validation_alias="SMTP_HOST", description="host:port, STARTTLS")
    smtp_from: str = Field("", validation_alias="SMTP_FROM")
    smtp_user: str = Field("", validation_alias="SMTP_USER")
    smtp_password: SecretStr = Field(SecretStr(""), validation_alias="SMTP_PASSWORD")


def main() -> int:
    """Write the folder and say how to go on; 1 with one clear line when nothing serves."""
    given = Monitoring()
    try:
        key = given.endpoint_key.get_secret_value()
        if not given.endpoint:
            key = key or callers.of(given).own()
        write(given, given.endpoint or predict.url(given.classifier), key)
    except ProjectError as error:
        sys.stderr.write(f"make monitoring: {error}\n")
        return 1
    folder = given.folder.resolve()
    sys.stdout.write(
        f"written to {folder}; now\n"
        f"  docker compose --env-file {folder}/compose.env -f infra/monitoring/compose.yaml up -d\n"
        f"Grafana: http://127.0.0.1:3000, admin, password in {folder}/secrets/grafana-password\n"
    )
    return 0


def write(given: Monitoring, endpoint: str, key: str) -> None:
    """The folder, its secrets for its owner alone; a way to people that is missing is told."""
    folder = given.folder.resolve()
    for name in ("secrets", "targets", "dashboards", *_DATA):
        (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in ("prometheus.yml", "rules.yml"):
        shutil.copy(HERE / name, folder / name)
    for uid, text in dashboards.texts().items():
        (folder / "dashboards" / f"{uid}.json").write_text(text, "utf-8")
    _keep(folder, given, key)
    target = folder / "targets" / f"{given.environment}-{given.classifier or 'endpoint'}.yaml"
    target.write_text(yaml.safe_dump(_target(given, endpoint)), "utf-8")
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(alerting(given, folder)), "utf-8")
    variables = {"MONITORING_USER": f"{os.getuid()}:{os.getgid()}", "MONITORING_FOLDER": folder}
    lines = [f"{name}={value}\n" for name, value in variables.items()]
    (folder / "compose.env").write_text("".join(lines), "utf-8")


def alerting(given: Monitoring, folder: Path) -> dict[str, Any]:
    """Alertmanager's configuration with the ways to people that are set up."""
    text = (HERE / "alertmanager.yml").read_text("utf-8")
    values = {
        "FOLDER": str(folder),
        "ALERT_EMAIL": given.alert_email,
        "SMTP_HOST": given.smtp_host,
        "SMTP_FROM": given.smtp_from,
        "SMTP_USER": given.smtp_user,
    }
    made: dict[str, Any] = _filled(yaml.safe_load(text), values)
    (people,) = made["receivers"]
    if not given.slack_webhook_url.get_secret_value():
        del people["slack_configs"]
    if not (given.alert_email and given.smtp_host and given.smtp_from):
        del people["email_configs"]
    elif not given.smtp_user:
        for name in ("auth_username", "auth_password_file"):
            del people["email_configs"][0][name]
    if set(people) == {"name"}:
        sys.stderr.write(
            "alerts are shown but reach nobody: set SLACK_WEBHOOK_URL,"
            " or ALERT_EMAIL with SMTP_HOST and SMTP_FROM\n"
        )
    return made


def _keep(folder: Path, given: Monitoring, key: str) -> None:
    secrets = {
        "endpoint-key": key,
        "slack-webhook": given.slack_webhook_url.get_secret_value(),
        "smtp-password": given.smtp_password.get_secret_value(),
    }
    if not (folder / "secrets" / "grafana-password").exists():
        secrets["grafana-password"] = token_urlsafe(24)
    for name, secret in secrets.items():
        path = folder / "secrets" / name
        path.touch(mode=0o600)
        path.write_text(secret, "utf-8")


def _target(given: Monitoring, endpoint: str) -> list[dict[str, Any]]:
    parts = urlsplit(endpoint)
    labels = {"environment": given.environment, "classifier": given.classifier}
    return [{"targets": [parts.netloc], "labels": {**labels, "__scheme__": parts.scheme}}]


def _filled(node: Any, values: dict[str, str]) -> Any:
    """A value never becomes YAML: it is put into the strings of what was read."""
    if isinstance(node, dict):
        return {name: _filled(one, values) for name, one in node.items()}
    if isinstance(node, list):
        return [_filled(one, values) for one in node]
    return Template(node).safe_substitute(values) if isinstance(node, str) else node


if __name__ == "__main__":
    sys.exit(main())
