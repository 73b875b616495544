"""Find releases, runs and retrains that nobody looks after any more, and put them right."""

import sys

from prefect import flow

from tasks import recovery, restarts, revival
from tasks.settings import Settings


@flow(name="reconcile", flow_run_name="reconcile")
def reconcile(classifier: str | None = None) -> dict[str, str]:
    """Look at every release: finish it, take it back, roll it back, or leave it alone.

    Before, runs whose host fell silent are ended. After, runs that crashed are run again, and the
    retrains that were asked for and did not begin are started.

    Args:
        classifier: A file in classifiers/. Empty: all of them.
    """
    settings = Settings()
    names = (classifier,) if classifier else recovery.names(settings.classifiers_dir)
    silent = {"hosts": restarts.end_silent(return_state=True)}
    ended = {name: recovery.attend(settings, name, return_state=True) for name in names}
    again = {"runs": restarts.restart(settings, return_state=True)}
    asked = {name: revival.revive(settings, name, return_state=True) for name in names}
    return recovery.conclude(silent, ended, again, asked)


if __name__ == "__main__":
    reconcile(sys.argv[1] if len(sys.argv) > 1 else None)
