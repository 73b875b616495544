"""What stops a server or a version of a model from being served."""


class CannotStart(Exception):
    """Nothing can be served, or not this version; the message says why in one line."""
