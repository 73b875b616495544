"""A hundred people at the endpoint: `locust -f bench/load/locustfile.py --host ADDRESS`.

Each asks, reads for one to three seconds and asks again. LOAD_TEST_KEY is a key of class load-test
(`python -m deployments.callers new --id load --class load-test`): with another one the endpoint's
limits are what is measured.
"""

import os
import random

from locust import FastHttpUser, between, task

from bench import traffic

_TEXTS = traffic.stream(800)
_KEY = os.environ.get("LOAD_TEST_KEY", "")


class Reader(FastHttpUser):
    wait_time = between(1, 3)
    # An answer later than the endpoint's own deadline is a failure, not a caller lost for ever.
    connection_timeout = network_timeout = 35.0

    @task
    def predict(self) -> None:
        text = random.choice(_TEXTS)  # nosec B311
        self.client.post("/predict", json={"text": text}, headers={"X-API-Key": _KEY})
