"""SageMaker models, endpoint configurations and endpoints that really serve."""

import re
import shutil
import threading
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.sagemaker.models import FakeEndpointConfig

from infra.sandbox import runtime, serverless
from infra.sandbox.extension import Invalid, extend_sagemaker, sagemaker
from infra.sandbox.fleets import Fleets
from infra.sandbox.world import World

_INSTANCE_TYPE = re.compile(r"ml\.[a-z0-9-]+\.[a-z0-9]+")
_lock = threading.Lock()


class EndpointActions:
    """The actions of models, configurations and endpoints as AWS has them."""

    fleets: Fleets
    _get_param: Any

    def create_model(self) -> Any:
        name = self._get_param("ModelName")
        with _lock:
            if held := sagemaker()._models.get(name):
                raise Invalid(f'Cannot create already existing model "{held.arn}".')
            return super().create_model()  # type: ignore[misc]

    def create_endpoint_config(self) -> Any:
        name = self._get_param("EndpointConfigName")
        with _lock:
            if held := sagemaker().endpoint_configs.get(name):
                raise Invalid(
                    "Cannot create already existing endpoint configuration"
                    f' "{held.endpoint_config_arn}".'
                )
            serverless.check_config(
                self._get_param("ProductionVariants"),
                self._get_param("DataCaptureConfig"),
                self._get_param("ShadowProductionVariants"),
            )
            return super().create_endpoint_config()  # type: ignore[misc]

    def describe_endpoint_config(self) -> Any:
        described = super().describe_endpoint_config()  # type: ignore[misc]
        if not described.result["DataCaptureConfig"]:  # the SDK refuses an empty one
            del described.result["DataCaptureConfig"]
        return described

    def create_endpoint(self) -> Any:
        name = self._get_param("EndpointName")
        with _lock:
            if held := sagemaker().endpoints.get(name):
                raise Invalid(f'Cannot create already existing endpoint "{held.arn}".')
            created = super().create_endpoint()  # type: ignore[misc]
            endpoint: Any = sagemaker().endpoints[name]
            endpoint.endpoint_status, endpoint.live = "Creating", {}
            endpoint.production_variants = []
            endpoint.data_capture_config = endpoint.data_capture_config or None
        _in_background(self.fleets.create, endpoint)
        return created

    def update_endpoint(self) -> Any:
        name, config = self._get_param("EndpointName"), self._get_param("EndpointConfigName")
        with _lock:
            endpoint = _settled(name)
            if endpoint.endpoint_status != "InService":
                raise Invalid(f'Cannot update endpoint "{endpoint.arn}" in status Failed.')
            sagemaker().describe_endpoint_config(config)
            serverless.check_update(
                *(
                    sagemaker().endpoint_configs[one].production_variants
                    for one in (endpoint.endpoint_config_name, config)
                )
            )
            endpoint.endpoint_status = "Updating"
        given = self._get_param("DeploymentConfig")
        if given is None and self._get_param("RetainDeploymentConfig"):
            given = getattr(endpoint, "last_deployment_config", None)
        endpoint.last_deployment_config = given
        retain = bool(self._get_param("RetainAllVariantProperties"))
        _in_background(self.fleets.update, endpoint, config, given or {}, retain)
        return ActionResult({"EndpointArn": endpoint.arn})

    def update_endpoint_weights_and_capacities(self) -> Any:
        asked = {one["VariantName"]: one for one in self._get_param("DesiredWeightsAndCapacities")}
        with _lock:
            endpoint = _settled(self._get_param("EndpointName"))
            variants = {variant["VariantName"]: variant for variant in endpoint.production_variants}
            if unknown := ", ".join(asked.keys() - variants):
                raise Invalid(
                    f'The variant name(s) "{unknown}" is/are not present within endpoint'
                    f' configuration "{endpoint.endpoint_config_name}".'
                )
            for name, wanted in asked.items():
                if "DesiredInstanceCount" in wanted and "CurrentServerlessConfig" in variants[name]:
                    raise Invalid(f'The variant "{name}" is serverless and has no instances.')
            for name, wanted in asked.items():
                variants[name] |= {key: one for key, one in wanted.items() if one is not None}
            endpoint.endpoint_status = "Updating"
        _in_background(self.fleets.weigh, endpoint)
        return ActionResult({"EndpointArn": endpoint.arn})

    def delete_endpoint(self) -> Any:
        name = self._get_param("EndpointName")
        with _lock:
            _settled(name)
            sagemaker().delete_endpoint(name)
        _in_background(self.fleets.remove, name)
        return EmptyResult()


def _settled(name: str) -> Any:
    """The endpoint, unless it is just changing."""
    sagemaker().describe_endpoint(name)
    endpoint: Any = sagemaker().endpoints[name]
    if endpoint.endpoint_status not in ("InService", "Failed"):
        raise Invalid(f'Cannot update in-progress endpoint "{endpoint.arn}".')
    return endpoint


def _in_background(work: Any, *arguments: Any) -> None:
    threading.Thread(target=work, args=arguments, daemon=True).start()


def _check_instance_type(_: Any, kind: str) -> None:
    if not _INSTANCE_TYPE.fullmatch(kind):
        raise Invalid(f"Value '{kind}' at 'instanceType' failed to satisfy constraint: ml.*.*")


def install(world: World) -> None:
    FakeEndpointConfig.validate_instance_type = _check_instance_type
    EndpointActions.fleets = Fleets(world)
    extend_sagemaker(EndpointActions)
    runtime.install(EndpointActions.fleets)


def restore(world: World) -> None:
    """Serve again; an update that was cut short is rolled back, a creation begins anew."""
    fleets = EndpointActions.fleets
    known: dict[str, Any] = sagemaker().endpoints
    for folder in world.folder("endpoints").iterdir():
        live = known[folder.name].live.values() if folder.name in known else []
        kept = {variant["folder"] for variant in live}
        for left in [inside for inside in folder.iterdir() if inside.name not in kept]:
            shutil.rmtree(left)
    for held in list(known.values()):
        if held.endpoint_status == "Failed":
            continue
        held.endpoint_status = "Updating" if held.live else "Creating"
        _in_background(fleets.resume if held.live else fleets.create, held)
    _in_background(fleets.watch)
