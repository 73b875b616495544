"""What every test may use; nothing heavy is imported here."""

from hypothesis import settings

# The same examples every time: a red run is a change's doing, never the day's.
settings.load_profile("ci")

pytest_plugins = [
    "plugins.bundles",
    "plugins.certificates",
    "plugins.champions",
    "plugins.faults",
    "plugins.few_roots",
    "plugins.flows",
    "plugins.letterbox",
    "plugins.live_pools",
    "plugins.mlflow_server",
    "plugins.releases",
    "plugins.room",
    "plugins.sandbox",
    "plugins.sudden_death",
    "plugins.swift_endpoints",
    "plugins.tiny_training",
    "plugins.warm_jobs",
    "plugins.watched",
]
