"""Steps that keep an eye on what serves."""

from tasks.adapters import aws, dashboards
from tasks.classifiers import Classifier
from tasks.records import Place
from tasks.retries import live


@live
def ensure_alarms(place: Place, chosen: Classifier) -> str:
    """Alarms and dashboard watch what serves now, with the file's thresholds; twice is as once."""
    thresholds = chosen.alarms.parameters(place.target)
    thresholds["DriftScore"] = f"{chosen.drift.threshold:g}"
    return dashboards.ensure(aws.client, place, thresholds)
