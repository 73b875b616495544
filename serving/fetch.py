"""`python -m serving.fetch URI DIGEST FOLDER`: a bundle from S3, verified, as a folder.

A process of its own: unpacking takes neither the event loop's time nor its memory, and it yields
to the processes that answer.
"""

import asyncio
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from serving import processes
from serving.errors import CannotStart
from serving.plan import PlannedVersion

# More than a plan can name: what is loaded, or is the way back, is never among the oldest.
_KEPT = 6
_NICE = 10


async def folder_of(planned: PlannedVersion, cache: Path) -> Path:
    """The bundle's folder, fetched unless it is there; its content is yet to be verified."""
    if planned.path:
        return planned.path
    folder = cache / planned.digest
    if folder.is_dir():
        with suppress(OSError):
            os.utime(folder)
        return folder
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "serving.fetch", planned.uri, planned.digest, str(folder)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, said = await process.communicate()
    except asyncio.CancelledError:
        with suppress(ProcessLookupError):
            process.kill()
        raise
    if process.returncode:
        lines = said.decode(errors="replace").strip().splitlines() or [f"{process.returncode}"]
        raise CannotStart(f"{planned.uri}: {lines[-1]}")
    return folder


def discard(planned: PlannedVersion, cache: Path) -> None:
    """Forget a fetched bundle that turned out bad, so that the next try fetches it anew."""
    if planned.uri:
        shutil.rmtree(cache / planned.digest, ignore_errors=True)


def fetch(uri: str, digest: str, folder: Path) -> None:
    """Download, unpack and verify; the folder appears whole or not at all.

    An empty digest takes whichever bundle is there.
    """
    import boto3
    from botocore.config import Config

    from training import bundle

    bucket, _, key = uri.removeprefix("s3://").partition("/")
    folder.parent.mkdir(parents=True, exist_ok=True)
    _prune(folder.parent)
    s3 = boto3.client("s3", config=Config(connect_timeout=5, read_timeout=30))
    with TemporaryDirectory(prefix=".fetch-", dir=folder.parent) as scratch:
        archive = Path(scratch, "model.tar.gz")
        s3.download_file(bucket, key, str(archive))
        found = bundle.unpack(archive, Path(scratch, "model"))
        if digest and found.digest != digest:
            raise CannotStart(f"digest is {found.digest[:12]}..., not {digest[:12]}... as planned")
        try:
            Path(scratch, "model").rename(folder)
        except OSError:
            if not folder.is_dir():  # else another server was quicker, with the same bytes
                raise


def _prune(cache: Path) -> None:
    """Make room: what was not used for the longest time goes first."""
    known = [entry for entry in cache.iterdir() if len(entry.name) == 64 and entry.is_dir()]
    known.sort(key=lambda entry: entry.stat().st_mtime, reverse=True)
    for old in known[_KEPT - 1 :]:
        shutil.rmtree(old, ignore_errors=True)


def main() -> None:
    """The last line on stderr says why it could not."""
    processes.follow_parent(os.getppid())
    os.nice(_NICE)
    uri, digest, folder = sys.argv[1:]
    try:
        fetch(uri, digest, Path(folder))
    except Exception as error:
        sys.stderr.write(f"{' '.join(str(error).split()) or type(error).__name__}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
