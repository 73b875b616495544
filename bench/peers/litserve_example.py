"""LitServe as its documentation serves a Hugging Face text classifier, with its defaults."""

import sys
from typing import Any

import litserve as ls
from transformers import pipeline

_FOLDER, _PORT, _MAX_LENGTH = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


class HuggingFaceLitAPI(ls.LitAPI):  # type: ignore[misc]
    def setup(self, device: str) -> None:
        self.model = pipeline("text-classification", model=_FOLDER, device=device)

    def decode_request(self, request: dict[str, Any]) -> Any:
        return request["text"]

    def predict(self, text: Any) -> Any:
        return self.model(text, truncation=True, max_length=_MAX_LENGTH)

    def encode_response(self, output: Any) -> dict[str, Any]:
        return {"label": output[0]["label"], "score": output[0]["score"]}


if __name__ == "__main__":
    server = ls.LitServer(HuggingFaceLitAPI(), accelerator="cpu")
    server.run(host="127.0.0.1", port=_PORT, log_level="warning", generate_client_file=False)
