"""What every test may use; nothing heavy is imported here."""

pytest_plugins = ["plugins.sandbox"]
