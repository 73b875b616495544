"""What all pictures share: one look, PNG bytes, and how a page shows them."""

import base64
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, ORANGE, GREY, RED = "#2f6fde", "#e8833a", "#9aa3af", "#c8372d"


def figure(width: float = 7, height: float = 4) -> "Figure":
    """An empty figure, inches. No pyplot: it keeps state that concurrent tasks would share."""
    from matplotlib.figure import Figure  # a second that a run without pictures need not wait

    return Figure(figsize=(width, height), layout="constrained")


def png(drawn: "Figure") -> bytes:
    """The picture as PNG. The same drawing gives the same bytes."""
    stream = io.BytesIO()
    drawn.savefig(stream, format="png", dpi=110, metadata={"Software": None})
    return stream.getvalue()


def shown(title: str, picture: bytes) -> str:
    """Markdown that holds the picture itself, so that the page needs no other server."""
    return f"![{title}](data:image/png;base64,{base64.b64encode(picture).decode()})"
