"""The smoke test by hand, against any running endpoint that speaks HTTP.

`HOST=http://10.0.0.7:8000 MODEL_NAME=bert-news-classifier python -m deployments.smoke`
"""

import sys
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings

from deployments import callers
from deployments.account import Account
from tasks import classifiers
from tasks.adapters import aws, bundles, probes, registry
from tasks.classifiers import Classifier
from tasks.errors import BadInput, ProjectError
from tasks.policy import smoke
from tasks.policy.smoke import TARGETS_MS, SmokeReport
from tasks.records import Outcome
from tasks.smoke import CALLERS, log_report, try_out

_PORT = 8000
_ROWS = 20


class Wanted(BaseSettings):
    """Which endpoint, of which model; each field is a variable."""

    host: str = Field("", description="its address, http://10.0.0.7:8000")
    public_ip_staging: str = Field("", description="without HOST: this machine, port 8000")
    ec2_instance_id: str = Field("", description="without both: this instance's private address")
    model_name: str = Field("bert-genre-classifier", description="as registered in MLflow")
    mlflow_tracking_server_arn: str = Field("", description="wins over MLFLOW_TRACKING_URI")
    username: str = Field("ubuntu", description="who tests; a tag of the version tells")
    api_key: SecretStr = Field(SecretStr(""), description="empty: the environment's operator's")


def main() -> int:
    """Print the report, log it on the version's MLflow run; 1 unless it passed."""
    try:
        report = run(Wanted())
    except ProjectError as error:
        print(f"deployments.smoke: {error}", file=sys.stderr)
        return 1
    print(page(report))
    return 0 if report.outcome is Outcome.PASS else 1


def run(wanted: Wanted) -> SmokeReport:
    """Test whatever version answers there, as the registry knows it."""
    account, chosen, url = Account(), _classifier(wanted.model_name), address(wanted)
    mlflow_uri = wanted.mlflow_tracking_server_arn or account.mlflow_tracking_uri
    client = registry.client(mlflow_uri)
    key = wanted.api_key.get_secret_value() or callers.of(account).own()
    with probes.Session(url, key) as session:
        first = session.ask(probes.HELLO)
        if first.status != 200:
            raise BadInput(f"{url} answers with status {first.status}: {first.body[:200]}")
        model = registry.get_version(client, wanted.model_name, first.version)
        uri = f"s3://{account.outputs()['DataBucket']}/datasets/{chosen.name}"
        rows = bundles.golden(aws.client("s3"), f"{uri}/{model.snapshot_sha256}", _ROWS)
        most = chosen.serving.max_chars
        seen = try_out(session, tuple((text[:most], label) for text, label in rows), most, CALLERS)
    report = smoke.judge(seen, chosen.data.labels, model.version, model.bundle_digest)
    log_report(mlflow_uri, model.run_id, report)
    told = {"smoke_test": f"{report.outcome} at {url}, by {wanted.username}"}
    registry.set_tags(client, model.name, model.version, told)
    return report


def page(report: SmokeReport) -> str:
    """Every number, those with a target beside it, and what is wrong."""
    lines = []
    for name, value in report.numbers.items():
        target = TARGETS_MS.get(name)
        told = f"  target {target}, {'met' if value <= target else 'missed'}" if target else ""
        lines.append(f"{name:<16}{value:>12,.3f}{told}")
    return "\n".join([*lines, *report.reasons, str(report.outcome)])


def _classifier(model: str) -> Classifier:
    folder = Path("classifiers")
    known = [classifiers.load(name, folder) for name in classifiers.names(folder)]
    for one in known:
        if one.registered_model == model:
            return one
    models = ", ".join(one.registered_model for one in known)
    raise BadInput(f"MODEL_NAME={model}: no file in {folder}/ names it; there are {models}")


def address(wanted: Wanted) -> str:
    """Where the endpoint is."""
    if wanted.host:
        return wanted.host if "://" in wanted.host else f"http://{wanted.host}"
    if wanted.public_ip_staging:
        return f"http://{wanted.public_ip_staging}:{_PORT}"
    if wanted.ec2_instance_id:
        found = aws.client("ec2").describe_instances(InstanceIds=[wanted.ec2_instance_id])
        instance = found["Reservations"][0]["Instances"][0]
        return f"http://{instance['PrivateIpAddress']}:{_PORT}"
    raise BadInput("say which endpoint: HOST, PUBLIC_IP_STAGING or EC2_INSTANCE_ID")


if __name__ == "__main__":
    sys.exit(main())
