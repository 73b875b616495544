"""Model packages with ClientToken, and what the SageMaker SDK asks of IAM."""

import json
import threading
from typing import Any

from moto.core.responses import ActionResult
from moto.iam import urls
from moto.sagemaker.models import sagemaker_backends

from infra.sandbox.extension import Invalid, extend_sagemaker, sagemaker
from infra.sandbox.world import ACCOUNT, REGION, World

_lock = threading.Lock()


class PackageActions:
    """CreateModelPackage and -Group as AWS has them."""

    _get_param: Any

    def create_model_package(self) -> Any:
        """The same ClientToken makes the same package once."""
        token = self._get_param("ClientToken")
        asked = json.dumps(self._asked(), sort_keys=True, default=str)
        with _lock:
            tokens = _tokens()
            if token in tokens:
                arn, before = tokens[token]
                if before != asked:
                    raise Invalid(f"ClientToken {token} was already used with other parameters.")
                return ActionResult({"ModelPackageArn": arn})
            created = super().create_model_package()  # type: ignore[misc]
            if token:
                tokens[token] = (created.result["ModelPackageArn"], asked)
            return created

    def create_model_package_group(self) -> Any:
        name = self._get_param("ModelPackageGroupName")
        with _lock:
            if held := sagemaker().model_package_groups.get(name):
                raise Invalid(f"Model Package Group already exists: {held.arn}")
            return super().create_model_package_group()  # type: ignore[misc]

    def _asked(self) -> Any:
        return getattr(self, "params", {})


def _tokens() -> dict[str, tuple[str, str]]:
    """Kept on moto's backend, so that they survive with it."""
    backend: Any = sagemaker_backends[ACCOUNT][REGION]
    tokens: dict[str, tuple[str, str]] = backend.__dict__.setdefault("package_tokens", {})
    return tokens


class IdentityActions:
    """IAM's SimulatePrincipalPolicy: here everybody may do everything."""

    _get_param: Any
    _get_multi_param: Any

    def simulate_principal_policy(self) -> Any:
        actions = self._get_param("ActionNames") or []
        resources = self._get_param("ResourceArns") or ["*"]
        results = [
            {
                "EvalActionName": action,
                "EvalResourceName": resource,
                "EvalDecision": "allowed",
                "MatchedStatements": [],
                "MissingContextValues": [],
            }
            for action in actions
            for resource in resources
        ]
        return ActionResult({"EvaluationResults": results, "IsTruncated": False})


def install(world: World) -> None:
    extend_sagemaker(PackageActions)
    current = urls.url_paths["{0}/$"].__self__
    extended: Any = type("Identity", (IdentityActions, current), {})
    urls.url_paths["{0}/$"] = extended.dispatch
