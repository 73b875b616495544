"""Who may call this environment's EC2 endpoints.

`python -m deployments.callers new --id alice` makes a key, `... revoke --key NAME` ends one.
"""

import argparse
import sys
from typing import Any

from deployments.account import Account
from serving import keys
from serving.keys import KeyDocument, StoredKey
from tasks.adapters import aws, secrets

OPERATOR = "operator"


class Callers:
    """The secrets of one environment: what servers accept, and what its own probes send."""

    def __init__(self, client: Any, stack: str, tags: dict[str, str]) -> None:
        self._client = client
        self._tags = tags
        self._accepted = f"{stack}/api-keys"
        self._own = f"{stack}/operator-key"

    def stored(self) -> tuple[StoredKey, ...]:
        found = secrets.read(self._client, self._accepted)
        return KeyDocument.model_validate_json(found).keys if found else ()

    def store(self, stored: tuple[StoredKey, ...]) -> None:
        secrets.write(self._client, self._accepted, keys.document(stored), self._tags)

    def ensure(self) -> None:
        """The probes' own key is there and is accepted; twice is the same as once."""
        own = secrets.read(self._client, self._own)
        stored = self.stored()
        if own and keys.Keyring(stored).find(own.encode()):
            return
        key, one = keys.make(OPERATOR, "load-test")
        self.store((*(other for other in stored if other.id != OPERATOR), one))
        secrets.write(self._client, self._own, key, self._tags)

    def own(self) -> str:
        """The key of this environment's own probes."""
        return secrets.read(self._client, self._own) or ""


def of(account: Account) -> Callers:
    return Callers(aws.client("secretsmanager"), account.stack, account.tags)


def main() -> int:
    """Change the secret; instances take it with their next deployment."""
    parser = argparse.ArgumentParser(prog="python -m deployments.callers")
    verbs = parser.add_subparsers(required=True, dest="verb")
    new = verbs.add_parser("new")
    new.add_argument("--id", required=True)
    new.add_argument("--class", dest="kind", choices=["standard", "load-test"], default="standard")
    verbs.add_parser("revoke").add_argument("--key", required=True)
    verbs.add_parser("list")
    given = parser.parse_args()
    callers = of(Account())
    stored = callers.stored()
    if given.verb == "new":
        key, one = keys.make(given.id, given.kind)
        callers.store((*stored, one))
        print(f"the key, shown only now: {key}")
    elif given.verb == "revoke":
        callers.store(tuple(one for one in stored if one.key != given.key))
    for one in callers.stored():
        print(f"{one.key}  {one.kind:<10} {one.id}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
