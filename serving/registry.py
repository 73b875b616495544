"""The version that an alias of the MLflow registry points at, as a plan."""

from typing import Any

import httpx
from pydantic import ValidationError

from serving.plan import NoPlan, Plan, PlannedVersion

_CALL_S = 10


class AliasPlan:
    """Asks the registry over REST: its client library takes seconds and 200 MB to import."""

    def __init__(self, tracking_uri: str, model: str, alias: str, interval_s: float) -> None:
        self.interval_s = interval_s
        self._model = model
        self._alias = alias
        self._url = f"{tracking_uri.rstrip('/')}/api/2.0/mlflow/registered-models/alias"

    async def read(self) -> Plan:
        try:
            async with httpx.AsyncClient(timeout=_CALL_S) as client:
                answer = await client.get(
                    self._url, params={"name": self._model, "alias": self._alias}
                )
        except httpx.HTTPError as error:
            raise NoPlan(f"the registry cannot be asked: {error!r}") from error
        if answer.status_code != 200:
            raise NoPlan(f"no {self._alias} of {self._model}: {_reason(answer)}")
        try:
            found = answer.json()["model_version"]
            return Plan(versions=(_planned(found),))
        except (KeyError, TypeError, ValueError) as error:
            said = _problem(error) if isinstance(error, ValidationError) else repr(error)
            raise NoPlan(f"{self._alias} of {self._model} cannot be served: {said}") from error


def _planned(found: dict[str, Any]) -> PlannedVersion:
    tags = {tag["key"]: tag["value"] for tag in found.get("tags", ())}
    return PlannedVersion(
        version=found["version"], uri=found["source"], digest=tags["bundle_digest"]
    )


def _reason(answer: httpx.Response) -> str:
    try:
        return " ".join(str(answer.json()["message"]).split())[:200]
    except (KeyError, TypeError, ValueError):
        return f"the registry answers {answer.status_code}"


def _problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    where = ".".join(map(str, problem["loc"]))
    return f"{where} {problem['msg']}"
