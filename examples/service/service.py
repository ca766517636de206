"""An HTTP service that loads a recipe when it starts and makes videos with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import typer
import uvicorn
from fastapi import FastAPI, HTTPException, Response
from pydantic import BaseModel, ConfigDict, Field
from video_maker import QueueFullError, VideoMaker

import sol
from sol.errors import OutputError
from sol.target import Workload
from sol.video_file import check_video_path

_MEDIA_TYPES = {"gif": "image/gif", "webp": "image/webp", "mp4": "video/mp4"}
_UNPROCESSABLE, _TOO_MANY, _EXIT_USER = 422, 429, 2


class VideoRequest(BaseModel):
    """One video. What belongs to the workload may be left out, or must be what the recipe has."""

    model_config = ConfigDict(extra="forbid")

    prompt: Annotated[str, Field(min_length=1, max_length=2000)]
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    format: Literal["gif", "webp", "mp4"] = "gif"
    height: int | None = None
    width: int | None = None
    num_frames: int | None = None
    steps: int | None = None
    guidance_scale: float | None = None

    def find_difference(self, workload: Workload) -> str | None:
        """In what the request leaves the recipe's workload, or None if it does not."""
        given = self.model_dump(exclude={"prompt", "seed", "format"}, exclude_none=True)
        for key, value in given.items():
            wanted = getattr(workload, key)
            if value != wanted:
                return f"{key} must be {wanted}, as in the recipe; got {value}. Leave it out."
        return None


def make_app(maker: VideoMaker) -> FastAPI:
    """POST /videos answers with the file, GET /health with what is applied."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        maker.close()

    app = FastAPI(title="Sol", lifespan=lifespan)

    @app.get("/health")
    def health() -> dict[str, Any]:
        return maker.health()

    @app.post("/videos")
    async def make_video(request: VideoRequest) -> Response:
        difference = request.find_difference(maker.recipe.target.workload)
        if difference:
            raise HTTPException(_UNPROCESSABLE, difference)
        try:
            check_video_path(Path(f"video.{request.format}"))
            future = maker.submit(request.prompt, request.seed, f".{request.format}")
        except OutputError as error:
            raise HTTPException(_UNPROCESSABLE, str(error)) from error
        except QueueFullError as error:
            raise HTTPException(_TOO_MANY, "The queue is full: ask again later.") from error
        video = await asyncio.wrap_future(future)
        seconds = {"X-Seconds": f"{video.seconds:.3f}"}
        return Response(video.content, media_type=_MEDIA_TYPES[request.format], headers=seconds)

    return app


def main(
    recipe: Annotated[Path, typer.Argument(help="A recipe file.")],
    model: Annotated[str | None, typer.Option(help="Where its model is, if elsewhere.")] = None,
    allow: Annotated[list[str] | None, typer.Option(help="A check that need not hold.")] = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    threads: Annotated[int, typer.Option(help="Of PyTorch; recipes are measured with one.")] = 1,
    max_waiting: Annotated[int, typer.Option(help="Videos that may wait.")] = 8,
) -> None:
    """Serve videos made with a recipe, one at a time."""
    torch.set_num_threads(threads)
    try:
        maker = VideoMaker(sol.load_recipe(recipe), model, allow or (), max_waiting)
    except sol.SolError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(_EXIT_USER) from error
    uvicorn.run(make_app(maker), host=host, port=port, log_level="warning")


if __name__ == "__main__":
    typer.run(main)
