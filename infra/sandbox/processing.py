"""SageMaker processing jobs that really run."""

import time
from typing import Any

from moto.core.responses import EmptyResult

from infra.sandbox import objects
from infra.sandbox.containers import Container
from infra.sandbox.extension import ResourceInUse, extend_sagemaker, sagemaker
from infra.sandbox.runs import Failure, Run, ask_to_stop, now, statuses
from infra.sandbox.world import UnknownImage, World

LOST = "InternalServerError: the sandbox ended while the job ran; start another job"


class Processing(Run):
    """One processing job on one instance."""

    group = "/aws/sagemaker/ProcessingJobs"

    def __init__(self, world: World, job: Any) -> None:
        limit = (job.stopping_condition or {}).get("MaxRuntimeInSeconds")
        super().__init__(world, job, job.processing_job_name, limit)
        self.container = Container(world, self.job_name, self.folder)

    def walk(self) -> None:
        self.fail_on_demand()
        self.container.prepare()
        self.lay_out()
        self.job.processing_start_time = now()
        self.world.changed()
        started = time.monotonic()
        env = {str(k): str(v) for k, v in (self.job.environment or {}).items()}
        env |= {"PROCESSING_JOB_NAME": self.job_name, "PROCESSING_JOB_ARN": self.job.arn}
        specification = self.job.app_specification
        try:
            process = self.container.start(specification["ImageUri"], specification, env)
        except (UnknownImage, OSError) as problem:
            raise Failure(f"ClientError: {problem}") from problem
        outcome = self.wait([self.container], [process], started)
        if outcome == "Completed":
            self.upload()
        self.end("Completed" if outcome == "Completed" else "Stopped")

    def lay_out(self) -> None:
        self.container.configure("processingjobconfig.json", {"ProcessingJobName": self.job_name})
        for given in self.job.processing_inputs or []:
            source = given["S3Input"]
            folder = self.container.path(source["LocalPath"])
            try:
                objects.download(source["S3Uri"], folder)
            except objects.NoObjects as missing:
                raise Failure(f"ClientError: Data download failed: {missing}") from missing
        for output in self.outputs():
            self.container.path(output["LocalPath"]).mkdir(parents=True, exist_ok=True)

    def outputs(self) -> list[dict[str, Any]]:
        config = self.job.processing_output_config or {}
        return [output["S3Output"] for output in config.get("Outputs", [])]

    def upload(self) -> None:
        for output in self.outputs():
            folder = self.container.path(output["LocalPath"])
            try:
                objects.upload_folder(self.world, folder, output["S3Uri"], {}, time.time())
            except objects.NoObjects as missing:
                raise Failure(f"ClientError: Artifact upload failed: {missing}") from missing

    def end(self, status: str, reason: str | None = None) -> None:
        job = self.job
        job.processing_end_time = job.last_modified_time = now()
        job.failure_reason = reason[:1024] if reason else None
        job.exit_message = self.container.failure() or job.failure_reason
        with statuses:
            job.processing_job_status = status
        self.world.changed()


class ProcessingActions:
    """CreateProcessingJob and StopProcessingJob as AWS has them."""

    world: World
    runs: dict[str, Processing]
    _get_param: Any

    def create_processing_job(self) -> Any:
        name = self._get_param("ProcessingJobName")
        with statuses:
            if held := sagemaker().processing_jobs.get(name):
                raise ResourceInUse(
                    "Job name must be unique within an AWS account and region, and a job with"
                    f" this name already exists ({held.arn})"
                )
            created = super().create_processing_job()  # type: ignore[misc]
            job: Any = sagemaker().processing_jobs[name]
            job.processing_job_status = "InProgress"
            job.processing_end_time = None
            job.environment = self._get_param("Environment")
            job.processing_resources = self._get_param("ProcessingResources")
            run = self.runs[name] = Processing(self.world, job)
        run.start()
        return created

    def stop_processing_job(self) -> Any:
        name = self._get_param("ProcessingJobName")
        sagemaker().describe_processing_job(name)
        ask_to_stop(sagemaker().processing_jobs[name], "processing")
        self.runs[name].asked_to_stop.set()
        return EmptyResult()


def install(world: World) -> None:
    ProcessingActions.world = world
    ProcessingActions.runs = {}
    extend_sagemaker(ProcessingActions)


def restore(world: World) -> None:
    """What ran when the sandbox ended has failed."""
    for job in list(sagemaker().processing_jobs.values()):
        if job.processing_job_status in ("InProgress", "Stopping"):
            Processing(world, job).end("Failed", LOST)
