"""Answer requests over HTTP with a ticket: `TICKET=news.safetensors uvicorn app:app`; see docs/serving.md."""

import os
import sys
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from lt_lightning import Ticket
from lt_lightning.errors import SettingError

MAX_TEXTS, MAX_CHARACTERS, MAX_BYTES = 256, 10_000, 1_000_000
"""The largest number of texts in a request, of characters in a text, and of bytes in a body."""
STARTUP_FAILURE = 3
"""The exit code after which uvicorn does not start a worker again."""


def load_ticket() -> Ticket:
    """Load the ticket that TICKET names, or exit with one line on stderr."""
    try:
        if not os.environ.get("TICKET"):
            raise SettingError("TICKET: not set; set it to a ticket's file, such as TICKET=news.safetensors")
        return Ticket.load(os.environ["TICKET"])
    except SettingError as error:
        print(error, file=sys.stderr, flush=True)
        sys.exit(STARTUP_FAILURE)


ticket = load_ticket()
app = FastAPI(title="Ticket")


class Question(BaseModel):
    """The body of a request."""

    texts: Annotated[list[Annotated[str, Field(max_length=MAX_CHARACTERS)]], Field(max_length=MAX_TEXTS)]


class Answer(BaseModel):
    """The most likely class of a text, and the probabilities of all classes."""

    prediction: str
    probability: float
    probabilities: dict[str, float]


@app.get("/health")
def health() -> dict[str, str]:
    """Report that the ticket is loaded."""
    return {"status": "ok"}


@app.post("/predict")
def predict(question: Question) -> list[Answer]:
    """Classify texts. FastAPI runs `def` in a pool of threads, which share the ticket."""
    answers = []
    for row in ticket.predict(question.texts).tolist():
        probabilities = dict(zip(ticket.class_names, row, strict=True))
        best = max(probabilities, key=probabilities.__getitem__)
        answers.append(Answer(prediction=best, probability=probabilities[best], probabilities=probabilities))
    return answers


class LimitBody:
    """Answer 413 before a longer body than `MAX_BYTES` is in memory."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Count the bytes that the application receives."""
        received = 0

        async def counted() -> Any:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > MAX_BYTES:
                raise HTTPException(413, f"the body is longer than {MAX_BYTES:,} bytes; send fewer texts at a time")
            return message

        await self.app(scope, counted, send)


app.add_middleware(LimitBody)


@app.exception_handler(RequestValidationError)
def refuse(_: Request, error: RequestValidationError) -> JSONResponse:
    """Answer 422 without repeating the input, which may be long, or NaN, which JSON does not have."""
    return JSONResponse({"detail": [{key: one[key] for key in ("type", "loc", "msg")} for one in error.errors()]}, 422)
