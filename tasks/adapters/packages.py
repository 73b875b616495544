"""SageMaker model packages: what AWS users see of the registry, one per bundle, with approval."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

Approval = Literal["Approved", "Rejected", "PendingManualApproval"]


@dataclass(frozen=True, slots=True)
class Package:
    """One version in a model package group."""

    arn: str
    version: int
    approval: str
    description: str


def create(
    sagemaker: "SageMakerClient",
    group: str,
    *,
    image: str,
    bundle_uri: str,
    bundle_digest: str,
    metadata: Mapping[str, str],
    tags: Mapping[str, str],
) -> str:
    """The ARN of the package of this bundle; made, pending approval, when it is not there."""
    _ensure_group(sagemaker, group, tags)
    if found := find(sagemaker, group, bundle_digest):
        return found.arn
    made = sagemaker.create_model_package(
        ModelPackageGroupName=group,
        ModelPackageDescription=_description(bundle_digest),
        ModelApprovalStatus="PendingManualApproval",
        InferenceSpecification={
            "Containers": [{"Image": image, "ModelDataUrl": bundle_uri}],
            "SupportedContentTypes": ["application/json"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
        CustomerMetadataProperties=dict(metadata),
        # Tokens are the account's, so the group is part of it.
        ClientToken=hashlib.sha256(f"{group} {bundle_digest}".encode()).hexdigest()[:36],
    )
    return made["ModelPackageArn"]


def decide(sagemaker: "SageMakerClient", arn: str, approval: Approval, why: str) -> None:
    """Approve or reject a package; deciding the same twice changes nothing."""
    sagemaker.update_model_package(
        ModelPackageArn=arn, ModelApprovalStatus=approval, ApprovalDescription=why[:1024]
    )


def find(sagemaker: "SageMakerClient", group: str, bundle_digest: str) -> Package | None:
    """The group's package of a bundle."""
    wanted = _description(bundle_digest)
    return next((one for one in versions(sagemaker, group) if one.description == wanted), None)


def versions(sagemaker: "SageMakerClient", group: str) -> list[Package]:
    """All packages of a group, newest first."""
    pages = sagemaker.get_paginator("list_model_packages").paginate(ModelPackageGroupName=group)
    found = [
        Package(
            arn=summary["ModelPackageArn"],
            version=summary["ModelPackageVersion"],
            approval=summary["ModelApprovalStatus"],
            description=summary.get("ModelPackageDescription", ""),
        )
        for page in pages
        for summary in page["ModelPackageSummaryList"]
    ]
    return sorted(found, key=lambda package: package.version, reverse=True)


def _description(bundle_digest: str) -> str:
    return f"bundle {bundle_digest}"


def _ensure_group(sagemaker: "SageMakerClient", group: str, tags: Mapping[str, str]) -> None:
    try:
        sagemaker.create_model_package_group(
            ModelPackageGroupName=group,
            ModelPackageGroupDescription="Versions made by the train flow of Perennial",
            Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        )
    except ClientError as error:
        # AWS answers a repeated name with ValidationException, others with ResourceInUse.
        if "already exists" not in error.response["Error"]["Message"]:
            raise
