"""Take the last update of a classifier's EC2 stack back."""

import sys

from deployments.account import Account
from tasks.adapters import aws, fleet
from tasks.errors import ProjectError


def main() -> int:
    """Print what was done; 1 with one clear line when it could not be."""
    if len(sys.argv) != 2:
        print("usage: python -m deployments.undo_stack CLASSIFIER", file=sys.stderr)
        return 2
    account = Account()
    try:
        bucket = account.outputs()["ModelsBucket"]
        print(fleet.recover(aws.client, f"{account.stack}-{sys.argv[1]}-ec2", bucket))
    except ProjectError as error:
        print(f"deployments.undo_stack: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
