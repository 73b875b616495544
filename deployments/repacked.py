"""The champion's model as a new version: same weights, another bundle, the champion's verdict."""

import io
import tarfile
import tempfile
from dataclasses import replace
from typing import IO
from urllib.parse import urlsplit

from tasks.adapters import aws, registry, verdicts
from tasks.errors import BadInput
from tasks.records import ModelVersion, Outcome
from training.formats import BundleManifest

_MANIFEST = "manifest.json"


def repack(mlflow_uri: str, bucket: str, model: str, version: str, job: str) -> str:
    """Register the version's weights once more, under the name of a job that never ran.

    It is judged as the version was, on the same rows: PASS, or BadInput. Its number.
    """
    client, s3 = registry.client(mlflow_uri), aws.client("s3")
    old = registry.get_version(client, model, version)
    verdict = verdicts.read(s3, bucket, old.classifier, old.bundle_digest)
    if verdict is None or verdict.outcome is not Outcome.PASS:
        raise BadInput(f"version {version} did not pass its gate: run make demo first")
    key = f"training/{job}/output/model.tar.gz"
    parts = urlsplit(old.bundle_uri)
    with tempfile.TemporaryFile() as found, tempfile.TemporaryFile() as made:
        s3.download_fileobj(parts.netloc, parts.path.lstrip("/"), found)
        found.seek(0)
        digest = _renamed(found, made, job)
        made.seek(0)
        s3.upload_fileobj(made, bucket, key)
    run = client.create_run("0", run_name=job).info.run_id
    wanted = replace(
        old, run_id=run, bundle_uri=f"s3://{bucket}/{key}", bundle_digest=digest, job_name=job
    )
    new: ModelVersion = registry.register(client, wanted, {})
    told = f"the weights of version {version}, packed again for a rehearsal"
    verdicts.write(
        s3,
        bucket,
        replace(
            verdict,
            version=new.version,
            bundle_digest=digest,
            reasons=(f"{told}, and judged as it was", *verdict.reasons[:1]),
        ),
    )
    registry.describe(client, model, new.version, told)
    return new.version


def _renamed(found: IO[bytes], made: IO[bytes], job: str) -> str:
    """The archive with another job name in its manifest, which makes it another bundle."""
    digest = ""
    with (
        tarfile.open(fileobj=found, mode="r:gz") as source,
        tarfile.open(fileobj=made, mode="w:gz", compresslevel=1) as target,
    ):
        for member in source:
            content = source.extractfile(member)
            if content is None:
                continue
            if member.name.rsplit("/", 1)[-1] == _MANIFEST:
                manifest = BundleManifest.model_validate_json(content.read())
                manifest = manifest.model_copy(update={"job_name": job})
                digest, told = manifest.digest, manifest.to_bytes()
                member.size, content = len(told), io.BytesIO(told)
            target.addfile(member, content)
    return digest
