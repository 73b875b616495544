"""Steps that show what was released when: in Prefect, and in the registry's tags and aliases."""

import logging

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from tasks import releases
from tasks.adapters import aws, ledger, registry
from tasks.policy import history
from tasks.records import Place, Release
from tasks.retries import live

log = logging.getLogger(__name__)

_TAGGED = 50  # of the ledger's last records are looked at for tags


@live
def publish_history(place: Place) -> str:
    """The release history as a table in Prefect; says so when the ledger was tampered with."""
    chain = ledger.read(aws.client("s3"), place.models_bucket, f"{place.releases}/ledger")
    broken = ledger.verify(chain)
    told = (
        f"THE LEDGER WAS TAMPERED WITH: {broken}. Believe the S3 versions of "
        f"s3://{place.models_bucket}/{place.releases}/ledger/, not this table."
        if broken
        else f"{len(chain)} ledger records, their chain is whole."
    )
    create_table_artifact(
        key=f"history-{place.classifier}",
        table=history.rows([record.entry for record in chain]),
        description=f"# Releases of {place.classifier}, {place.environment}\n\n{told}\n",
    )
    return told


@task(cache_policy=NO_CACHE)
def tell_registry(place: Place, mlflow_uri: str, model: str, release: Release) -> str:
    """Aliases and tags of the versions; a registry that is down is a warning, callers are served.

    Twice is the same as once, so whoever comes next may do it again.
    """
    try:
        releases.converge_aliases.fn(mlflow_uri, model, release)
        client = registry.client(mlflow_uri)
        folder = f"{place.releases}/ledger"
        last = ledger.read(aws.client("s3"), place.models_bucket, folder, last=_TAGGED)
        for version, tags in history.tags([record.entry for record in last]).items():
            registry.set_tags(client, model, version, tags)
    except registry.refusal() as error:
        log.warning("aliases and tags of %s are behind the journal: %s", model, error)
        return f"not told, reconcile does it later: {error}"
    return "aliases and tags are as the ledger says"
