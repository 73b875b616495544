"""Create or update what the account needs: buckets, roles, repositories, the alert topic."""

import sys

from deployments import callers
from deployments.account import Account
from tasks.errors import ProjectError


def main() -> int:
    """Print what was made; 1 with one clear line when it could not be."""
    account = Account()
    try:
        outputs = account.create()
        account.keep_notifiers()
    except ProjectError as error:
        print(f"make bootstrap: {error}", file=sys.stderr)
        return 1
    callers.of(account).ensure()
    print(f"account  stack {account.stack}: {outputs['DataBucket']}, {outputs['ModelsBucket']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
