"""What is kept of the texts that callers send and the answers they get."""

from pydantic import BaseModel, Field

from training.redaction import Policy


class Capture(BaseModel, frozen=True, extra="forbid"):
    """`[capture]` of a classifier file: the prediction log, without which no drift is seen."""

    percent: float = Field(
        100, ge=0, le=100, description="of the requests that are logged; 0: nothing is"
    )
    text: Policy = Field(
        "mask",
        description="mask: e-mail addresses, telephone and card numbers become placeholders; "
        "hash: no word is kept, so words are not looked at for drift; off: texts as they came",
    )
    seconds: float = Field(
        30, ge=1, le=3600, description="until an answer is in S3; shorter makes more, smaller files"
    )
