"""SageMaker training jobs that really run; processing jobs are in processing.py."""

import time
from typing import Any

from moto.core.responses import EmptyResult

from infra.sandbox import objects, processing
from infra.sandbox.containers import Container
from infra.sandbox.extension import ResourceInUse, extend_sagemaker, sagemaker
from infra.sandbox.runs import Failure, Run, ask_to_stop, now, statuses
from infra.sandbox.world import Process, UnknownImage, World, free_port

_SYNC_S = 1.0
_MESSAGES = {
    "Starting": "Preparing the instances for training",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Interrupted": "Spot interruption: the instances were reclaimed",
    "Uploading": "Uploading generated training model",
    "Stopping": "Stopping the training job",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds",
}


class Training(Run):
    """One training job: its instances, its checkpoints, its way through the states."""

    group = "/aws/sagemaker/TrainingJobs"

    def __init__(self, world: World, job: Any) -> None:
        limit = (job.stopping_condition or {}).get("MaxRuntimeInSeconds")
        super().__init__(world, job, job.training_job_name, limit)
        count = int(job.resource_config.get("InstanceCount", 1))
        hosts = [f"algo-{number}" for number in range(1, count + 1)]
        self.containers = [Container(world, self.job_name, self.folder, host) for host in hosts]
        self.hosts = hosts
        self.seconds = 0.0
        self.synced: dict[str, float] = {}

    def walk(self) -> None:
        self.fail_on_demand()
        outcome = "Interrupted"
        while outcome == "Interrupted":
            self.enter("Downloading")
            for container in self.containers:
                self.lay_out(container)
            outcome = self.train()
            self.enter(outcome if outcome == "Interrupted" else "Uploading")
            if outcome == "Interrupted":
                self.enter("Starting")
        self.upload()
        self.end(outcome if outcome == "Completed" else "Stopped", secondary=outcome)

    def enter(self, status: str) -> None:
        """The next secondary status, with its transition."""
        self.note(status, _MESSAGES[status])
        if status == "Training" and self.job.training_start_time is None:
            self.job.training_start_time = now()
        self.world.changed()

    def note(self, status: str, message: str) -> None:
        transitions, moment = self.job.secondary_status_transitions, now()
        if transitions:
            transitions[-1]["EndTime"] = moment
        transitions.append({"Status": status, "StartTime": moment, "StatusMessage": message})
        self.job.secondary_status = status
        self.job.last_modified_time = moment

    def end(self, status: str, reason: str | None = None, secondary: str | None = None) -> None:
        job = self.job
        job.training_end_time = now()
        job.failure_reason = reason[:1024] if reason else None
        job.training_time_in_seconds = job.billable_time_in_seconds = max(1, round(self.seconds))
        last = secondary or status
        self.note(last, job.failure_reason or _MESSAGES[last])
        job.secondary_status_transitions[-1]["EndTime"] = job.training_end_time
        with statuses:  # at last: who sees it reads the rest
            job.training_job_status = status
        self.world.changed()

    def lay_out(self, container: Container) -> None:
        """Channels, configuration and checkpoints, as the container finds them."""
        job, number = self.job, self.hosts.index(container.host)
        container.prepare()
        kind = job.resource_config.get("InstanceType", "ml.m5.xlarge")
        container.configure("hyperparameters.json", job.hyper_parameters or {})
        container.configure(
            "resourceconfig.json",
            {
                "current_host": container.host,
                "current_instance_type": kind,
                "hosts": self.hosts,
                "network_interface_name": "lo",
            },
        )
        channels = {channel["ChannelName"]: channel for channel in job.input_data_config or []}
        container.configure("inputdataconfig.json", {n: _described(c) for n, c in channels.items()})
        for name, channel in channels.items():
            source = channel["DataSource"]["S3DataSource"]
            sharded = source.get("S3DataDistributionType") == "ShardedByS3Key"
            shard = (number, len(self.hosts)) if sharded else (0, 1)
            try:
                objects.download(source["S3Uri"], container.root / "input/data" / name, *shard)
            except objects.NoObjects as missing:
                raise Failure(f"ClientError: Data download failed: {missing}") from missing
        self.restore_checkpoints(container)
        container.env = self.environment(container, number, list(channels))

    def environment(self, container: Container, number: int, channels: list[str]) -> dict[str, str]:
        env = {
            "TRAINING_JOB_NAME": self.job_name,
            "TRAINING_JOB_ARN": self.job.arn,
            "SM_TRAINING_JOB_NAME": self.job_name,
            "SM_MODEL_DIR": "/opt/ml/model",
            "SM_OUTPUT_DATA_DIR": "/opt/ml/output/data",
            "SM_HOSTS": str(self.hosts).replace("'", '"'),
            "SM_CURRENT_HOST": container.host,
            "SM_NUM_GPUS": "0",
            "WORLD_SIZE": str(len(self.hosts)),
            "RANK": str(number),
            "LOCAL_RANK": "0",
            "MASTER_ADDR": "127.0.0.1",
            "GLOO_SOCKET_IFNAME": "lo",
        }
        env |= {f"SM_CHANNEL_{name.upper()}": f"/opt/ml/input/data/{name}" for name in channels}
        if self.job.checkpoint_config:
            env["SM_CHECKPOINT_DIR"] = self.checkpoint_path()
        return env

    def train(self) -> str:
        """One attempt on all instances."""
        self.enter("Training")
        port, started = str(free_port()), time.monotonic()
        fault = None
        if self.job.enable_managed_spot_training:
            fault = self.world.faults.take("spot-interruption", self.job_name)
        earlier = self.seconds

        def meanwhile() -> str | None:
            self.seconds = earlier + time.monotonic() - started
            self.sync_checkpoints()
            if fault and self.seconds - earlier >= fault.get("seconds", 0):
                return "Interrupted" if "seconds" in fault or self.synced else None
            return None

        try:
            processes = self.start_all(port)
            return self.wait(self.containers, processes, started - earlier, meanwhile)
        finally:
            self.seconds = earlier + time.monotonic() - started
            self.sync_checkpoints(final=True)

    def start_all(self, port: str) -> list[Process]:
        specification = self.job.algorithm_specification
        image = specification.get("TrainingImage", "")
        env = {str(k): str(v) for k, v in (self.job.environment or {}).items()}
        env["MASTER_PORT"] = port
        try:
            return [c.start(image, specification, env) for c in self.containers]
        except (UnknownImage, OSError) as problem:
            raise Failure(f"ClientError: {problem}") from problem

    def checkpoint_path(self) -> str:
        return str(self.job.checkpoint_config.get("LocalPath", "/opt/ml/checkpoints"))

    def restore_checkpoints(self, container: Container) -> None:
        if config := self.job.checkpoint_config:
            container.path(self.checkpoint_path()).mkdir(parents=True, exist_ok=True)
            uri = f"{config['S3Uri'].rstrip('/')}/"
            try:
                objects.download(uri, container.path(self.checkpoint_path()))
            except objects.NoObjects:
                return

    def sync_checkpoints(self, final: bool = False) -> None:
        """Copy new checkpoint files to S3; during the run only those that are no longer written."""
        config = self.job.checkpoint_config
        if not config:
            return
        settled = time.time() - (0 if final else _SYNC_S)
        folder = self.containers[0].path(self.checkpoint_path())
        objects.upload_folder(self.world, folder, config["S3Uri"], self.synced, settled)

    def upload(self) -> None:
        """model.tar.gz of all hosts' model folders, output.tar.gz when there is any output."""
        where = f"{self.job.output_data_config['S3OutputPath'].rstrip('/')}/{self.job_name}/output"
        outputs = [c.root / "output/data" for c in self.containers]
        parts = {"model.tar.gz": [c.root / "model" for c in self.containers]}
        if any(any(folder.iterdir()) for folder in outputs if folder.exists()):
            parts["output.tar.gz"] = outputs
        for name, folders in parts.items():
            archive = self.folder / name
            objects.pack(folders, archive)
            try:
                objects.upload(self.world, archive.read_bytes(), f"{where}/{name}")
            except objects.NoObjects as missing:
                raise Failure(f"ClientError: Artifact upload failed: {missing}") from missing
            archive.unlink()
        self.job.model_artifacts = {"S3ModelArtifacts": f"{where}/model.tar.gz"}


def _described(channel: dict[str, Any]) -> dict[str, Any]:
    source = channel["DataSource"]["S3DataSource"]
    return {
        "ContentType": channel.get("ContentType"),
        "TrainingInputMode": channel.get("InputMode", "File"),
        "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": channel.get("RecordWrapperType", "None"),
    }


class TrainingActions:
    """CreateTrainingJob and StopTrainingJob as AWS has them."""

    world: World
    runs: dict[str, Training]
    _get_param: Any

    def create_training_job(self) -> Any:
        name = self._get_param("TrainingJobName")
        specification = dict(self._get_param("AlgorithmSpecification"))
        with statuses:
            if held := sagemaker().training_jobs.get(name):
                raise ResourceInUse(
                    "Training job names must be unique within an AWS account and region, and a"
                    f" training job with this name already exists ({held.arn})"
                )
            created = super().create_training_job()  # type: ignore[misc]
            job: Any = sagemaker().training_jobs[name]
            job.algorithm_specification = specification
            job.training_job_status, job.secondary_status = "InProgress", "Starting"
            job.training_start_time = job.training_end_time = None
            job.model_artifacts = job.failure_reason = None
            job.final_metric_data_list, job.secondary_status_transitions = [], []
            job.environment = self._get_param("Environment")
            job.retry_strategy = self._get_param("RetryStrategy")
            run = self.runs[name] = Training(self.world, job)
        run.enter("Starting")
        run.start()
        return created

    def stop_training_job(self) -> Any:
        name = self._get_param("TrainingJobName")
        sagemaker().describe_training_job(name)
        ask_to_stop(sagemaker().training_jobs[name], "training")
        self.runs[name].asked_to_stop.set()
        return EmptyResult()


def install(world: World) -> None:
    TrainingActions.world = world
    TrainingActions.runs = {}
    extend_sagemaker(TrainingActions)
    processing.install(world)


def restore(world: World) -> None:
    """What ran when the sandbox ended has failed."""
    for job in list(sagemaker().training_jobs.values()):
        if job.training_job_status in ("InProgress", "Stopping"):
            Training(world, job).end("Failed", processing.LOST)
    processing.restore(world)
