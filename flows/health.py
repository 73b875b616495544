"""Ask everything that is live how it is, and whether it is still watched."""

import sys

from prefect import State, flow

from tasks import health as looks
from tasks.policy.health import Look, Report, text
from tasks.settings import Settings


@flow(name="health", flow_run_name="health")
def health() -> Report:
    """Look at every place; one that is sick, or cannot be looked at, hides no other."""
    settings = Settings()
    before = looks.recall(settings)
    ended: dict[str, State[tuple[Look, ...]]] = {}
    for name in looks.names(settings):
        ended[name] = looks.look_at(settings, name, return_state=True)
        ended[f"drift-check {name}"] = looks.look_for_check(
            settings, name, before, return_state=True
        )
    for url in settings.health_urls.split():
        ended[url] = looks.look_at_url(url, return_state=True)
    return looks.conclude(settings, before, looks.found(ended))


if __name__ == "__main__":
    report = health()
    sys.stdout.write(f"{text(report)}\n")
    sys.exit(0 if report.healthy else 1)
