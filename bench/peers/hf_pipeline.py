"""FastAPI around transformers' pipeline, as reference system A and most tutorials have it."""

import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from transformers import pipeline

_FOLDER, _PORT, _MAX_LENGTH = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


class Request(BaseModel):
    text: str


app = FastAPI()
classify = pipeline("text-classification", model=_FOLDER, device="cpu")


# Not `async`: the pipeline then runs in FastAPI's thread pool. On the event loop it holds up all
# others, and its tail latency was three times as long.
@app.post("/predict")
def predict(request: Request) -> dict[str, str | float]:
    answer = classify(request.text, truncation=True, max_length=_MAX_LENGTH)[0]
    return {"label": answer["label"], "score": answer["score"]}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=_PORT, log_level="warning", access_log=False)
