"""A model process that does as a text bids it, and writes down every text that it computes.

Run in place of serving.worker, with `tests` on PYTHONPATH, by the tests of what the pool then does.
"""

import json
import os
import sys
import time
from pathlib import Path

from serving import worker
from serving.channel import Work
from serving.worker import Batch, ClassifyAPI

beside = Path(json.loads(sys.argv[3])["folder"]).parent
computed = beside / "computed"
decode = ClassifyAPI.decode_request


def decode_request(self: ClassifyAPI, request: Work) -> Batch:
    with computed.open("a") as lines:
        lines.writelines(f"{text}\n" for text in request.texts)
    for text in request.texts:
        if text.startswith("poison"):
            os.abort()
        if text.startswith("hang"):
            time.sleep(3600)
        if text.startswith("slow"):
            time.sleep(0.002)
        if text.startswith("exit"):
            sys.exit()
        if text.startswith("raise"):
            raise ValueError(text)
    return decode(self, request)


ClassifyAPI.decode_request = decode_request

if __name__ == "__main__":
    if (beside / "cannot-start").exists():
        sys.exit(1)
    worker.main(*sys.argv[1:])
