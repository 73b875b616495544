"""The endpoint's only reader of the environment."""

import tempfile
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from serving.config_file import BadConfig, ConfigFileSource
from training.redaction import Policy


class BadSettings(Exception):
    """A variable that a person must mend; names it, its value and what is allowed."""


class ServingSettings(BaseSettings):
    """What one endpoint serves, where, and how much it takes; each field is a variable."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True)

    model_path: Path = Field(Path("/opt/ml/model"), description="folder of the bundle")
    tokenizer_path: Path | None = Field(None, description="may only name the bundle's own")
    labels_path: Path | None = Field(None, description="may only name the bundle's own")
    model_name: str = Field("", max_length=128, description="empty: the bundle's classifier")
    model_version: str = Field("unversioned", pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$")
    # A container is only reached on all its interfaces.
    api_host: str = Field("0.0.0.0", min_length=1)  # nosec B104
    api_port: int = Field(8000, ge=1, le=65535)
    sagemaker_bind_to_port: int | None = Field(None, ge=1, le=65535, description="wins")
    api_workers: int = Field(1, ge=1, le=64, description="processes that each hold the model")
    batch_size: int = Field(32, ge=1, le=1024, description="texts computed in one go")
    batch_letters: int = Field(8000, ge=1, description="of these texts together, at most")
    max_queue: int = Field(1024, ge=1, description="texts that wait; past it 503 at once")
    model_timeout_s: float = Field(10, gt=0, le=600, description="a batch at most")
    model_start_timeout_s: float = Field(300, gt=0, le=3600)
    max_chars: int = Field(20_000, ge=1, le=1_000_000, description="of one text")
    max_texts: int = Field(128, ge=1, le=10_000, description="of one batch request")
    max_body_bytes: int = Field(2**20, ge=1024, le=2**26)
    request_timeout_s: float = Field(30, gt=0, le=600)
    head_timeout_s: float = Field(10, gt=0, le=600, description="for a request's headers to come")
    body_timeout_s: float = Field(15, gt=0, le=600, description="for its body, and to be answered")
    keep_alive_s: float = Field(75, gt=0, le=3600, description="longer than a proxy's before it")
    max_head_bytes: int = Field(16_384, ge=1024, le=2**20)
    max_connections: int = Field(10_000, ge=16, le=1_000_000, description="then the idlest go")
    grace_s: float = Field(20, ge=5, le=600, description="from SIGTERM to the end")
    plan_file: Path | None = Field(None, description="JSON of the versions; MODEL_PATH is unused")
    follow_alias: str = Field("", description="of MODEL_NAME in the registry; MODEL_PATH is unused")
    follow_interval_s: float = Field(10, ge=0.1, le=3600)
    mlflow_tracking_uri: str = Field("", pattern=r"^(https?://.+)?$")
    model_cache_dir: Path = Field(Path("/app/models"), description="of bundles that were fetched")
    cache_enabled: bool = Field(True, description="the same text is computed once")
    cache_ttl_s: float = Field(3600, gt=0, description="how long an answer is known")
    cache_max_size: int = Field(1000, ge=1, le=1_000_000, description="answers")
    enable_metrics: bool = True
    prometheus_port: int | None = Field(None, ge=1, le=65535, description="/metrics is there only")
    database_url: SecretStr | None = Field(None, description="taken and told: nothing is stored")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    auth: Literal["keys", "off"] = Field("keys", description="off must be said, it never happens")
    api_keys_file: Path | None = Field(None, description="JSON, as `serving.keys new` prints it")
    api_keys_secret: str = Field("", description="name or ARN in AWS Secrets Manager")
    api_keys_refresh_s: float = Field(30, ge=0.1, le=3600, description="how late a rotation may be")
    rate_limit_enabled: bool = True
    rate_limit_per_minute: int = Field(100, ge=1, description="of one address without a key")
    rate_limit_per_second: int = Field(10, ge=1, description="the same address's burst")
    rate_limit_key_per_minute: int = Field(1000, ge=1, description="of one caller with a key")
    rate_limit_load_test_per_minute: int = Field(60_000, ge=1, description="of class load-test")
    redis_url: SecretStr | None = Field(None, description="limits shared by several servers")
    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = Field(
        (), description="networks, by commas, whose X-Forwarded-For is believed"
    )
    audit_file: Path | None = Field(None, description="empty: among the other log lines")
    audit_text: Literal["none", "hash"] = Field("none", description="hash: SHA-256 of the body")
    capture_uri: str = Field(
        "",
        pattern=r"^(s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/([^/]+/)*data-capture/[a-z0-9-]+)?$",
        description="s3://BUCKET/data-capture/CLASSIFIER, where answers are logged; empty: nowhere",
    )
    capture_dir: Path = Field(
        default_factory=lambda: Path(tempfile.gettempdir(), "perennial-capture"),
        description="where answers wait to be shipped; several servers may share it",
    )
    capture_percent: float = Field(100, ge=0, le=100, description="of the requests")
    capture_text: Policy = Field("mask", description="mask: no e-mail, telephone or card numbers")
    capture_max_bytes: int = Field(2**29, ge=2**12, description="that may wait; then none are")
    capture_seconds: float = Field(30, ge=0.1, le=3600, description="until an answer is shipped")
    capture_shipper: Literal["own", "apart"] = Field(
        "own", description="apart: `serving.app ship` does it, beside a server without AWS's keys"
    )
    variant: str = Field("", pattern=r"^[A-Za-z0-9._-]{0,63}$", description="logged with answers")
    tls_cert_file: Path | None = Field(None, description="PEM, the whole chain")
    tls_key_file: Path | None = None
    sagemaker: bool = Field(False, description="the container's argument `serve` says so")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, ConfigFileSource(settings_cls)

    @property
    def port(self) -> int:
        return self.sagemaker_bind_to_port or self.api_port

    @field_validator("log_level", mode="before")
    @classmethod
    def _any_case(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _by_commas(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(part.strip() for part in value.split(",") if part.strip())

    @model_validator(mode="after")
    def _only_the_bundles_own(self) -> Self:
        # A tokenizer or label file from elsewhere would escape the digest that was evaluated.
        for name, own in (
            ("tokenizer_path", "tokenizer.json"),
            ("labels_path", "label_mappings.json"),
        ):
            path: Path | None = getattr(self, name)
            if path is not None and path not in (self.model_path, self.model_path / own):
                raise ValueError(
                    f"{name.upper()}={path} is not in the bundle: unset it,"
                    f" {self.model_path / own} is used"
                )
        return self

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.plan_file and self.follow_alias:
            raise ValueError("PLAN_FILE and FOLLOW_ALIAS both say what to serve: unset one")
        if self.follow_alias and not (self.model_name and self.mlflow_tracking_uri):
            raise ValueError(
                f"FOLLOW_ALIAS={self.follow_alias} needs MLFLOW_TRACKING_URI, and MODEL_NAME as the"
                " registry has it"
            )
        return self


def read(*, sagemaker: bool = False) -> ServingSettings:
    """The settings that the environment gives, or BadSettings in one line."""
    try:
        return ServingSettings(sagemaker=True) if sagemaker else ServingSettings()
    except BadConfig as error:
        raise BadSettings(str(error)) from error
    except ValidationError as error:
        raise BadSettings("; ".join(map(_line, error.errors()))) from error


def _line(problem: ErrorDetails) -> str:
    if not problem["loc"]:
        return str(problem["msg"]).removeprefix("Value error, ")
    return f"{str(problem['loc'][0]).upper()}={problem['input']}: {problem['msg']}"
