"""Find releases and retrains that nobody looks after any more, and put them right."""

import sys

from prefect import flow

from tasks import recovery, revival
from tasks.settings import Settings


@flow(name="reconcile", flow_run_name="reconcile")
def reconcile(classifier: str | None = None) -> dict[str, str]:
    """Look at every release: finish it, take it back, roll it back, or leave it alone.

    Then at the retrains that were asked for: what did not begin is started.

    Args:
        classifier: A file in classifiers/. Empty: all of them.
    """
    settings = Settings()
    names = (classifier,) if classifier else recovery.names(settings.classifiers_dir)
    ended = {name: recovery.attend(settings, name, return_state=True) for name in names}
    asked = {name: revival.revive(settings, name, return_state=True) for name in names}
    return recovery.conclude(ended, asked)


if __name__ == "__main__":
    reconcile(sys.argv[1] if len(sys.argv) > 1 else None)
