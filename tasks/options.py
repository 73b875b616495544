"""What a person may change for one training run; the form that the Prefect UI shows."""

from collections.abc import Mapping

from pydantic import BaseModel, Field, ValidationError

from tasks.classifiers import Classifier
from tasks.errors import BadInput
from tasks.search import Tuning


class TrainingOptions(BaseModel, frozen=True, extra="forbid"):
    """Everything left empty is as the classifier file says."""

    base_model: str | None = Field(
        None,
        min_length=1,
        description="hub id, s3:// folder, local folder, or `offline` for the MiniLM",
    )
    epochs: int | None = Field(None, ge=1, le=50, description="passes over the training rows")
    instance_type: str | None = Field(
        None, pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$", description="for example ml.m5.xlarge"
    )
    use_spot: bool | None = Field(None, description="spare capacity: cheaper, may be interrupted")
    max_length: int | None = Field(None, ge=8, le=512, description="tokens a text is cut to")
    batch_size: int | None = Field(None, ge=1, le=512, description="rows per step and device")
    learning_rate: float | None = Field(None, gt=0, le=1e-2, description="for example 2e-5")

    @property
    def hyperparameters(self) -> dict[str, object]:
        """What was given of them, by the names of their fields."""
        return _given(
            {
                "model_name": self.base_model,
                "num_train_epochs": self.epochs,
                "max_length": self.max_length,
                "per_device_train_batch_size": self.batch_size,
                "learning_rate": self.learning_rate,
            }
        )

    def apply(self, classifier: Classifier) -> Classifier:
        """The classifier with these options in place of its own."""
        training = classifier.training
        hyperparameters = training.hyperparameters.model_copy(update=self.hyperparameters)
        machine = {"instance_type": self.instance_type, "use_spot": self.use_spot}
        changes = {**_given(machine), "hyperparameters": hyperparameters}
        return classifier.model_copy(update={"training": training.model_copy(update=changes)})


class TuningOptions(BaseModel, frozen=True, extra="forbid"):
    """How far a study may go; everything left empty is as the classifier file says."""

    trials: int | None = Field(None, ge=1, le=500, description="failed ones are not counted")
    parallel: int | None = Field(None, ge=1, le=20, description="training jobs at a time")
    hours: float | None = Field(None, gt=0, le=720, description="in which jobs of the study run")
    dollars: float | None = Field(None, gt=0, description="needs dollars_per_hour")
    dollars_per_hour: float | None = Field(
        None, gt=0, description="what you pay for one training instance of this classifier"
    )

    def apply(self, classifier: Classifier, fixed: TrainingOptions) -> Classifier:
        """The classifier with these limits; what `fixed` gives is set and no longer searched."""
        given = {name.replace("_", "-") for name in fixed.hyperparameters}
        whole = classifier.tuning.space
        space = {key: search for key, search in whole.items() if key not in given}
        if not space:
            raise BadInput(
                f"tune {classifier.name}: the options set all that could be searched:"
                f" {', '.join(whole)}; leave one of them empty"
            )
        limits = {**classifier.tuning.model_dump(), **_given(self.model_dump()), "space": space}
        try:
            tuning = Tuning.model_validate(limits)
        except ValidationError as error:
            raise BadInput(f"tune {classifier.name}: {error.errors()[0]['msg']}") from error
        return fixed.apply(classifier).model_copy(update={"tuning": tuning})


def _given(values: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in values.items() if value is not None}
