"""Create or update what the account needs: buckets, roles, repositories, the alert topic."""

from deployments import callers
from deployments.account import Account


def main() -> None:
    account = Account()
    outputs = account.create()
    callers.of(account).ensure()
    print(f"account  stack {account.stack}: {outputs['DataBucket']}, {outputs['ModelsBucket']}")


if __name__ == "__main__":
    main()
