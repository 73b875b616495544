"""What a person may change for one training run; the form that the Prefect UI shows."""

from collections.abc import Mapping

from pydantic import BaseModel, Field

from tasks.classifiers import Classifier


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

    def apply(self, classifier: Classifier) -> Classifier:
        """The classifier with these options in place of its own."""
        training = classifier.training
        chosen = {
            "model_name": self.base_model,
            "num_train_epochs": self.epochs,
            "max_length": self.max_length,
            "per_device_train_batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
        }
        hyperparameters = training.hyperparameters.model_copy(update=_given(chosen))
        machine = {"instance_type": self.instance_type, "use_spot": self.use_spot}
        changes = {**_given(machine), "hyperparameters": hyperparameters}
        return classifier.model_copy(update={"training": training.model_copy(update=changes)})


def _given(values: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in values.items() if value is not None}
