"""Puts our actions in front of moto's."""

from typing import Any

from moto.core.exceptions import ServiceException
from moto.sagemaker import urls
from moto.sagemaker.models import SageMakerModelBackend, sagemaker_backends

from infra.sandbox.world import ACCOUNT, REGION


class ResourceInUse(ServiceException):
    code = "ResourceInUse"


class Invalid(ServiceException):
    code = "ValidationException"


class ResourceNotFound(ServiceException):
    code = "ResourceNotFound"


def extend_sagemaker(actions: type) -> None:
    """The methods of `actions` win over what handled SageMaker's calls until now."""
    current = urls.url_paths["{0}/$"].__self__
    extended: Any = type(actions.__name__, (actions, current), {})
    urls.url_paths["{0}/$"] = extended.dispatch


def sagemaker() -> SageMakerModelBackend:
    return sagemaker_backends[ACCOUNT][REGION]
