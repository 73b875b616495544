"""config/api_config.yaml: a few settings as a file, for those who like them there."""

from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict, YamlConfigSettingsSource

DEFAULT = Path("config/api_config.yaml")


class BadConfig(Exception):
    """The file cannot be read as what it should be; the message names it."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _all_commented_out(cls, value: object) -> object:
        return {} if value is None else value


class _Api(_Section):
    host: str | None = None
    port: int | None = None
    workers: int | None = None
    # There is nothing to reload: code comes as an image, models by a plan or an alias.
    reload: Literal[False] = False


class _Prometheus(_Section):
    enabled: bool | None = None
    port: int | None = None


class _Monitoring(_Section):
    prometheus: _Prometheus = _Prometheus()


class _Cache(_Section):
    enabled: bool | None = None
    ttl: float | None = Field(None, description="seconds")
    max_size: int | None = None


class _RateLimit(_Section):
    enabled: bool | None = None
    requests_per_minute: int | None = None


class _Security(_Section):
    rate_limit: _RateLimit = _RateLimit()


class ConfigFile(_Section):
    """All keys that the file may have; one that is not here is an error."""

    api: _Api = _Api()
    monitoring: _Monitoring = _Monitoring()
    cache: _Cache = _Cache()
    security: _Security = _Security()

    def settings(self) -> dict[str, Any]:
        """The values that the file gives, by the names of the settings."""
        limit, prometheus = self.security.rate_limit, self.monitoring.prometheus
        given = {
            "api_host": self.api.host,
            "api_port": self.api.port,
            "api_workers": self.api.workers,
            "enable_metrics": prometheus.enabled,
            "prometheus_port": prometheus.port,
            "cache_enabled": self.cache.enabled,
            "cache_ttl_s": self.cache.ttl,
            "cache_max_size": self.cache.max_size,
            "rate_limit_enabled": limit.enabled,
            "rate_limit_per_minute": limit.requests_per_minute,
        }
        return {name: value for name, value in given.items() if value is not None}


class _Place(BaseSettings):
    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True)

    api_config: Path | None = None


class ConfigFileSource(YamlConfigSettingsSource):
    """What API_CONFIG names, else the default file where there is one; the environment wins."""

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        file = _Place().api_config
        if file and not file.is_file():
            raise BadConfig(f"API_CONFIG={file}: no such file")
        super().__init__(settings_cls, yaml_file=file or DEFAULT)

    def _read_file(self, file_path: Path | Traversable) -> dict[str, Any]:
        try:
            return ConfigFile.model_validate(super()._read_file(file_path)).settings()
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            why = " ".join(str(error).split())
            raise BadConfig(f"{file_path}: cannot be read as YAML: {why}") from error
        except ValidationError as error:
            raise BadConfig("; ".join(_line(file_path, one) for one in error.errors())) from error


def _line(file: Path | Traversable, problem: ErrorDetails) -> str:
    key = ".".join(map(str, problem["loc"])) or "the file"
    why = "no such key" if problem["type"] == "extra_forbidden" else problem["msg"]
    return f"{file}: {key}: {why}"
