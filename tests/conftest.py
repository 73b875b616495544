"""What every test may use; nothing heavy is imported here."""

pytest_plugins = [
    "plugins.bundles",
    "plugins.faults",
    "plugins.flows",
    "plugins.mlflow_server",
    "plugins.releases",
    "plugins.sandbox",
    "plugins.tiny_training",
]
