"""Which account's environment this is, and what its bootstrap stack made there."""

import hashlib
import json
import shlex
import subprocess
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from tasks.adapters import aws, secrets, stacks
from tasks.errors import BadInput
from tasks.records import notify_secret

TEMPLATE = Path("infra/cloudformation/bootstrap.yaml")


class Account(BaseSettings):
    """What a person chooses once; everything else is read from the bootstrap stack."""

    model_config = SettingsConfigDict(env_prefix="PERENNIAL_", frozen=True)

    project: str = Field("perennial", pattern=r"^[a-z][a-z0-9-]{1,19}$")
    environment: str = Field("dev", pattern=r"^[a-z][a-z0-9-]{1,11}$")
    bucket_suffix: str = Field("", description="makes bucket names unique in the world")
    alert_email: str = Field("", description="who gets the alerts; empty: nobody subscribed yet")
    notify_urls: SecretStr = Field(
        SecretStr(""), description="Apprise URLs, blanks between; empty: as bootstrapped before"
    )
    slack_webhook_url: SecretStr = Field(SecretStr(""), validation_alias="SLACK_WEBHOOK_URL")
    health_urls: str = Field("", description="endpoints of other environments, blanks between")
    daily_cost_usd: float = Field(0, ge=0, description="a dearer day alerts; 0: none does")
    vpc_id: str = ""
    classifiers_dir: Path = Path("classifiers")
    pool_type: Literal["process", "ecs"] = "process"
    image_tag: str = Field("", description="tag of the pushed images; empty: the git commit")
    approval: Literal["auto", "approve", "never"] = Field(
        "auto", description="whether a person must let each version out"
    )
    approval_minutes: float = Field(720, gt=0, le=10_080, description="silence until then means no")
    mlflow_tracking_uri: str = Field(
        "http://localhost:5000",
        validation_alias="MLFLOW_TRACKING_URI",
    )

    @property
    def stack(self) -> str:
        return f"{self.project}-{self.environment}"

    @property
    def tags(self) -> dict[str, str]:
        return {"Project": self.project, "Environment": self.environment, "CostCenter": "ML-Team"}

    def create(self) -> dict[str, str]:
        """Create or update the bootstrap stack; its outputs. Twice is the same as once."""
        template = TEMPLATE.read_text("utf-8")
        parameters = {
            "Project": self.project,
            "Environment": self.environment,
            "BucketSuffix": self.bucket_suffix,
            "AlertEmail": self.alert_email,
            "DailyCostUsd": f"{self.daily_cost_usd:g}",
        }
        told = json.dumps([template, parameters], sort_keys=True)
        return stacks.ensure(
            aws.client("cloudformation"),
            self.stack,
            template,
            parameters,
            self.tags,
            hashlib.sha256(told.encode()).hexdigest(),
        )

    def keep_notifiers(self) -> None:
        """Keep whom Slack and e-mail tell as a secret, if that was given; BadInput names a bad one.

        Not in the environment of the runs: Prefect shows that to everybody.
        """
        told = f"{self.notify_urls.get_secret_value()} {self.slack_webhook_url.get_secret_value()}"
        if not (urls := told.split()):
            return
        from tasks.adapters import notifiers  # Apprise takes a while, and few come here

        if wrong := notifiers.unusable(urls):
            raise BadInput(
                f"PERENNIAL_NOTIFY_URLS (then SLACK_WEBHOOK_URL): of {len(urls)} URLs Apprise "
                f"knows no service for number {', '.join(map(str, wrong))}; "
                "it knows those of https://github.com/caronc/apprise/wiki"
            )
        name = notify_secret(self.project, self.environment)
        secrets.write(aws.client("secretsmanager"), name, "\n".join(urls), self.tags)

    def outputs(self) -> dict[str, str]:
        """The bootstrap stack's outputs; raises BadInput before `make bootstrap`."""
        found = stacks.outputs(aws.client("cloudformation"), self.stack)
        if found is None:
            raise BadInput(f"there is no stack {self.stack} in this account: run make bootstrap")
        return found

    def job_environment(self) -> dict[str, str]:
        """What every flow run finds in its environment; raises BadInput before `make bootstrap`."""
        outputs = self.outputs()
        commit = git_sha()
        tag = self.image_tag or commit[:12]
        return {
            "PERENNIAL_PROJECT": self.project,
            "PERENNIAL_ENVIRONMENT": self.environment,
            "PERENNIAL_DATA_BUCKET": outputs["DataBucket"],
            "PERENNIAL_MODELS_BUCKET": outputs["ModelsBucket"],
            "PERENNIAL_LOGS_BUCKET": outputs["LogsBucket"],
            "PERENNIAL_EXECUTION_ROLE_ARN": outputs["ExecutionRoleArn"],
            "PERENNIAL_INSTANCE_PROFILE": outputs["InstanceProfile"],
            "PERENNIAL_ALERT_TOPIC_ARN": outputs["AlertTopicArn"],
            "PERENNIAL_TRAINING_IMAGE": f"{outputs['TrainingRepositoryUri']}:{tag}",
            "PERENNIAL_SERVING_IMAGE": f"{outputs['ServingRepositoryUri']}:{tag}",
            "PERENNIAL_VPC_ID": self.vpc_id,
            "PERENNIAL_CLASSIFIERS_DIR": str(self.classifiers_dir),
            "PERENNIAL_APPROVAL": self.approval,
            "PERENNIAL_APPROVAL_MINUTES": str(self.approval_minutes),
            "PERENNIAL_HEALTH_URLS": self.health_urls,
            "PERENNIAL_GIT_SHA": commit,
            "MLFLOW_TRACKING_URI": self.mlflow_tracking_uri,
            "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "4",
            # Standard logging of these packages reaches the Prefect UI.
            "PREFECT_LOGGING_EXTRA_LOGGERS": "flows,tasks,training",
            "PREFECT_LOGGING_ROOT_LEVEL": "INFO",
            "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
            # reconcile takes a run for lost when two and a half did not come; Prefect's least.
            "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        }


def main() -> None:
    """What a shell has to know to run a flow by hand: `eval "$(python -m deployments.account)"`."""
    for name, value in Account().job_environment().items():
        print(f"export {name}={shlex.quote(value)}")


def git_sha() -> str:
    """The commit that is checked out, `unknown` outside a git checkout."""
    found = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or "unknown"


if __name__ == "__main__":
    main()
