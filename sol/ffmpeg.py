"""One call of the ffmpeg inside imageio-ffmpeg: it ends well, or the reason is said."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from sol.errors import SolError

TIME_LIMIT_S = 600.0
_COMPLAINT = re.compile(r"\[(?:error|fatal|panic)\]\s*(.*)")


class FfmpegError(SolError):
    """ffmpeg is missing, was killed, took too long or complained."""


@dataclass(frozen=True)
class Finished:
    """What ffmpeg left.

    Attributes:
        output: Its standard output.
        log: Its standard error, with a level before each message.
    """

    output: bytes
    log: str


def find_ffmpeg() -> str:
    """The path of the executable.

    Raises:
        FfmpegError: imageio-ffmpeg is not installed, or came without an ffmpeg.
    """
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise FfmpegError(
            f"The ffmpeg of imageio-ffmpeg is missing ({error}): pip install 'sol-tuner[tune]'."
        ) from error


def run_ffmpeg(
    arguments: Sequence[str],
    data: bytes | memoryview = b"",
    time_limit_s: float = TIME_LIMIT_S,
    executable: str | None = None,
) -> Finished:
    """Runs ffmpeg to its end. It may exit with 0 after an error, so that its log counts too.

    Args:
        arguments: Inputs, filters, outputs.
        data: Its standard input.
        time_limit_s: After this it is killed.
        executable: Another ffmpeg than `find_ffmpeg`'s.

    Raises:
        FfmpegError: It could not start, was killed, took too long, failed or complained.
    """
    options = ("-hide_banner", "-nostats", "-loglevel", "level+info", "-xerror")
    command = [executable or find_ffmpeg(), *options, *arguments]
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=time_limit_s)
    except subprocess.TimeoutExpired:
        raise FfmpegError(f"ffmpeg was not done in {time_limit_s:g} s and was ended.") from None
    except OSError as error:
        raise FfmpegError(f"ffmpeg could not start: {error}.") from error
    log = done.stderr.decode(errors="replace")
    _check_ended_well(done.returncode, log)
    return Finished(done.stdout, log)


def _check_ended_well(code: int, log: str) -> None:
    if code < 0:
        raise FfmpegError(f"ffmpeg was killed by signal {-code}.")
    complaints = _COMPLAINT.findall(log)
    if complaints:
        raise FfmpegError(f"ffmpeg says: {complaints[0].rstrip('.')}.")
    if code:
        raise FfmpegError(
            f"ffmpeg failed with exit code {code}: {log.strip()[-200:] or 'no message'}."
        )
