"""The folder that `make monitoring` writes is what Prometheus and Alertmanager take."""

import stat
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from plugins.promtool import told
from pydantic import SecretStr, ValidationError

from infra.monitoring import prepare
from infra.monitoring.prepare import Monitoring
from tasks.errors import NotFound

HERE = Path(prepare.__file__).parent
MAIL = {
    "ALERT_EMAIL": "team@example.org",
    "SMTP_HOST": "smtp.example.org:587",
    "SMTP_FROM": "perennial@example.org",
    "SMTP_USER": "perennial",
    "SMTP_PASSWORD": SecretStr("mail-secret"),
}
SLACK = {"SLACK_WEBHOOK_URL": SecretStr("https://hooks.slack.com/services/T0/B0/slack-secret")}


def monitoring(folder: Path, **variables: object) -> Monitoring:
    return Monitoring(MONITORING_FOLDER=folder, CLASSIFIER="news", environment="dev", **variables)


@pytest.fixture
def folder(tmp_path):
    given = monitoring(tmp_path, **MAIL, **SLACK)
    prepare.write(given, "https://news.example.org:8443", "the-key")
    return tmp_path


def ways(folder: Path) -> dict[str, list[dict[str, object]]]:
    (people,) = yaml.safe_load((folder / "alertmanager.yml").read_text())["receivers"]
    return {name: configs for name, configs in people.items() if name != "name"}


def test_prometheus_and_alertmanager_take_what_was_written(folder):
    code, text = told("promtool", "check", "config", "--lint-fatal", folder / "prometheus.yml")
    assert (code, "WARNING" in text) == (0, False), text

    code, text = told("amtool", "check-config", folder / "alertmanager.yml")
    assert code == 0, text


def test_the_target_is_scraped_over_tls_and_carries_what_the_rules_group_by(folder):
    (target,) = yaml.safe_load((folder / "targets" / "dev-news.yaml").read_text())

    assert target["targets"] == ["news.example.org:8443"]
    assert target["labels"] == {
        "environment": "dev",
        "classifier": "news",
        "__scheme__": "https",
    }


def test_secrets_are_in_files_that_only_their_owner_reads(folder):
    found = {path.name: path for path in (folder / "secrets").iterdir()}

    assert found["endpoint-key"].read_text() == "the-key"
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in found.values())
    elsewhere = [p for p in folder.rglob("*") if p.is_file() and p.parent.name != "secrets"]
    told = "".join(path.read_text() for path in elsewhere)
    for secret in ("the-key", "slack-secret", "mail-secret"):
        assert secret not in told


def test_grafana_gets_a_password_of_its_own_that_stays(folder, tmp_path):
    password = (folder / "secrets" / "grafana-password").read_text()

    prepare.write(monitoring(tmp_path), "http://127.0.0.1:8000", "")

    assert len(password) >= 32
    assert (folder / "secrets" / "grafana-password").read_text() == password


def test_only_the_ways_that_are_set_up_are_there(tmp_path, capsys):
    for variables, there in (
        (SLACK, {"slack_configs"}),
        (MAIL, {"email_configs"}),
        ({"ALERT_EMAIL": "team@example.org"}, set()),
    ):
        prepare.write(monitoring(tmp_path, **variables), "http://127.0.0.1:8000", "")
        assert set(ways(tmp_path)) == there
        assert told("amtool", "check-config", tmp_path / "alertmanager.yml")[0] == 0

    assert "alerts are shown but reach nobody" in capsys.readouterr().err


def test_a_value_cannot_change_the_configuration(tmp_path):
    odd = MAIL | {"ALERT_EMAIL": "a@b.c\nroute: {receiver: nobody}"}

    made = prepare.alerting(monitoring(tmp_path, **odd), tmp_path)

    assert made["route"]["receiver"] == "people"


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """What `make monitoring` without a URL finds; the release journal is of another test."""
    monkeypatch.setenv("MONITORING_FOLDER", str(tmp_path))
    monkeypatch.setenv("CLASSIFIER", "news")
    monkeypatch.setenv("PERENNIAL_ENVIRONMENT", "dev")
    monkeypatch.delenv("ENDPOINT", raising=False)

    def finds(url):
        monkeypatch.setattr(prepare.predict, "url", url)
        operator = SimpleNamespace(own=lambda: "operator-key")
        monkeypatch.setattr(prepare.callers, "of", lambda account: operator)

    return finds


def test_without_a_url_what_is_live_is_watched_with_the_environments_own_key(nowhere, tmp_path):
    nowhere(lambda classifier: f"http://{classifier}.internal:8000")

    assert prepare.main() == 0

    (target,) = yaml.safe_load((tmp_path / "targets" / "dev-news.yaml").read_text())
    assert target["targets"] == ["news.internal:8000"]
    assert (tmp_path / "secrets" / "endpoint-key").read_text() == "operator-key"


def test_nothing_that_serves_is_told_in_one_line(nowhere, capsys):
    def url(classifier: str) -> str:
        raise NotFound(f"there is no stack for {classifier}")

    nowhere(url)

    assert prepare.main() == 1
    assert capsys.readouterr().err == "make monitoring: there is no stack for news\n"


def test_an_endpoint_is_a_server_not_a_path(tmp_path):
    with pytest.raises(ValidationError, match="ENDPOINT"):
        monitoring(tmp_path, ENDPOINT="http://127.0.0.1:8000/predict")


def test_compose_listens_on_loopback_only_and_has_no_password_in_it():
    services = yaml.safe_load((HERE / "compose.yaml").read_text())["services"]

    for name, service in services.items():
        assert service["network_mode"] == "host"
        assert service["cap_drop"] == ["ALL"]
        addresses = [*service.get("command", ()), *service.get("environment", {}).items()]
        assert "127.0.0.1" in str(addresses), name
    assert "GF_SECURITY_ADMIN_PASSWORD" not in services["grafana"]["environment"]
    assert "admin123" not in (HERE / "compose.yaml").read_text()


def test_every_file_that_compose_mounts_from_here_exists():
    services = yaml.safe_load((HERE / "compose.yaml").read_text())["services"]
    mounts = [one.split(":")[0] for s in services.values() for one in s["volumes"]]

    assert all((HERE / one).exists() for one in mounts if one.startswith("./"))
