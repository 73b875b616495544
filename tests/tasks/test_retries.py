import httpx
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from tasks.errors import JobFailed, WaitTimeout
from tasks.retries import live, may_pass


def told(code: str, status: int) -> ClientError:
    response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "DescribeTrainingJob")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "error",
    [
        told("ThrottlingException", 400),
        told("SlowDown", 503),
        told("InternalFailure", 500),
        EndpointConnectionError(endpoint_url="http://aws"),
        httpx.ConnectError("refused"),
        ConnectionResetError(),
        TimeoutError(),
    ],
)
def test_what_may_pass_is_tried_again(error):
    assert may_pass(error)


@pytest.mark.parametrize(
    "error",
    [
        told("AccessDeniedException", 403),
        told("ExpiredTokenException", 403),
        told("ValidationException", 400),
        told("ResourceLimitExceeded", 400),
        NoCredentialsError(),
        JobFailed("news failed"),
        WaitTimeout("not over"),
        ValueError("a mistake of ours"),
    ],
)
def test_what_stays_is_not_tried_again(error):
    assert not may_pass(error)


def test_a_live_step_is_tried_three_times_more_with_growing_pauses():
    @live(task_run_name="look at {what}")
    def look(what: str) -> str:
        return what

    assert look.retries == 3
    assert look.retry_delay_seconds == [2, 10, 30]
    assert look.task_run_name == "look at {what}"
