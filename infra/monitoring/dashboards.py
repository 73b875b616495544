"""The four boards of an endpoint, as code: Grafana's JSON is made from it and never kept."""

import json

from grafana_foundation_sdk.builders.dashboard import TextBoxVariable
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from infra.monitoring.boards import api, business, model, system
from infra.monitoring.panels import board

# Prices change and differ by region, so nobody's is written down here.
_PRICE = TextBoxVariable("server_hour_usd").label("US$ a server and hour").default_value("0")


def texts() -> dict[str, str]:
    """The JSON of every board by its uid."""
    boards = (
        board("perennial-api", "API Performance", api),
        board("perennial-model", "Model Metrics", model),
        board("perennial-system", "System Health", system),
        board("perennial-business", "Business KPIs", business, _PRICE),
    )
    made = [one.build() for one in boards]
    return {str(one.uid): json.dumps(one, cls=JSONEncoder, indent=1) + "\n" for one in made}
