"""Prefect's database in the local stack: who writes at the same time takes turns."""

import asyncio
import sqlite3
from contextlib import closing

import pytest
from sqlalchemy import text

from infra.sandbox import stack

WRITERS = 8


@pytest.fixture
def database(tmp_path):
    file = tmp_path / "a state/prefect/prefect.db"
    file.parent.mkdir(parents=True)
    with closing(sqlite3.connect(file)) as new:
        new.execute("CREATE TABLE entry (writer INTEGER)")
    return file


async def write_together(url: str) -> None:
    """Each reads and then writes in one transaction: what two connections do not let each other."""
    from prefect.server.database.configurations import AioSqliteConfiguration

    prefect = AioSqliteConfiguration(url)
    engine = await prefect.engine()

    async def write(writer: int) -> None:
        async with await prefect.session(engine) as session, prefect.begin_transaction(session):
            await session.execute(text("SELECT count(*) FROM entry"))
            await session.execute(text("INSERT INTO entry VALUES (:writer)"), {"writer": writer})

    try:
        await asyncio.gather(*(write(writer) for writer in range(WRITERS)))
    finally:
        await engine.dispose()


def test_what_writes_to_prefects_database_at_once_is_all_written(database):
    asyncio.run(write_together(stack.prefect_database(database.parents[1])))

    with closing(sqlite3.connect(database)) as written:
        entries = written.execute("SELECT writer FROM entry ORDER BY writer").fetchall()
    assert entries == [(writer,) for writer in range(WRITERS)]
