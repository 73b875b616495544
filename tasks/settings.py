"""The orchestrator's only reader of the environment."""

from pathlib import Path
from typing import Literal

from pydantic import Field, HttpUrl, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Where this environment's things are; `make deploy` fills them from the bootstrap stack."""

    model_config = SettingsConfigDict(env_prefix="PERENNIAL_", frozen=True)

    project: str = Field("perennial", pattern=r"^[a-z][a-z0-9-]{1,19}$")
    environment: str = Field("dev", pattern=r"^[a-z][a-z0-9-]{1,11}$")
    data_bucket: str
    models_bucket: str
    logs_bucket: str
    execution_role_arn: str
    instance_profile: str
    alert_topic_arn: str
    training_image: str
    serving_image: str
    classifiers_dir: Path = Path("classifiers")
    templates_dir: Path = Path("infra/cloudformation")
    vpc_id: str = Field("", description="VPC of the EC2 target; empty: the account's default VPC")
    approval: Literal["auto", "approve", "never"] = Field(
        "auto", description="whether a person must let each version out in this environment"
    )
    approval_minutes: float = Field(720, gt=0, le=10_080, description="silence until then means no")
    health_urls: str = Field(
        "", description="endpoints of other environments that health asks too, blanks between"
    )
    dask_scheduler: str = Field(
        "", description="a Dask cluster that reads the log; empty: the flow's own process does"
    )
    git_sha: str = "unknown"
    mlflow_tracking_uri: str = Field(
        "http://localhost:5000",
        validation_alias="MLFLOW_TRACKING_URI",
    )

    @field_validator("health_urls")
    @classmethod
    def _are_urls(cls, told: str) -> str:
        for url in told.split():
            HttpUrl(url)
        return told

    @property
    def prefix(self) -> str:
        """First part of every AWS name."""
        return f"{self.project}-{self.environment}"
