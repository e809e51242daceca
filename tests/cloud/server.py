"""A server that speaks, on one port, what Google, AWS and Azure document of their text recognisers."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


@dataclass(frozen=True)
class Reply:
    """A response; without a body, none ever comes."""

    status: int = 200
    body: bytes | None = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, content: Any, status: int = 200, **headers: str) -> Reply:
        """Return a response with a JSON body."""
        return cls(status, json.dumps(content).encode(), {name.replace("_", "-"): headers[name] for name in headers})


HANGING = Reply(body=None)


def words(cloud: str, *texts: str, confidence: float = 0.75) -> Reply:
    """Return what a cloud answers if it finds these words, in one line."""
    if cloud == "google":
        found: list[Any] = [
            {"symbols": [{"text": symbol} for symbol in text], "confidence": confidence} for text in texts
        ]
        page = {"blocks": [{"paragraphs": [{"words": found}]}]}
        return Reply.of({"responses": [{"fullTextAnnotation": {"pages": [page], "text": " ".join(texts)}}]})
    if cloud == "aws":
        line = {"DetectedText": " ".join(texts), "Type": "LINE", "Id": 0, "Confidence": 100 * confidence}
        found = [
            {"DetectedText": text, "Type": "WORD", "Id": number, "ParentId": 0, "Confidence": 100 * confidence}
            for number, text in enumerate(texts, 1)
        ]
        return Reply.of({"TextDetections": [line, *found], "TextModelVersion": "3.0"})
    found = [{"text": text, "boundingPolygon": [], "confidence": confidence} for text in texts]
    line = {"text": " ".join(texts), "boundingPolygon": [], "words": found}
    return Reply.of(
        {
            "modelVersion": "2023-10-01",
            "metadata": {"width": 1, "height": 1},
            "readResult": {"blocks": [{"lines": [line]}]},
        }
    )


def refusal(cloud: str, status: int, code: str, message: str = "", **headers: str) -> Reply:
    """Return an error as a cloud words it."""
    if cloud == "google":
        info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": code, "domain": "googleapis.com"}
        return Reply.of({"error": {"code": status, "message": message, "details": [info]}}, status, **headers)
    if cloud == "aws":
        return Reply.of({"__type": code, "message": message}, status, **headers)
    return Reply.of({"error": {"code": code, "message": message}}, status, **headers)


class CloudServer:
    """Serves until the block ends.

    Attributes
    ----------
    url : str
    replies : dict of list of Reply
        For each cloud what it answers, one after the other; the last one for ever.
    images : dict of list of bytes
        For each cloud what it was sent.
    credentials : list of str
        What requests were authorised by.
    """

    def __init__(self) -> None:
        self.replies: dict[str, list[Reply]] = {cloud: [words(cloud, "7")] for cloud in ("google", "aws", "azure")}
        self.images: dict[str, list[bytes]] = {cloud: [] for cloud in self.replies}
        self.credentials: list[str] = []
        self._ended = threading.Event()
        served = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                reply = served._reply(self.path, self.headers, body)
                if reply.body is None:
                    served._ended.wait()
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> CloudServer:
        """Start it."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self._ended.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _reply(self, path: str, headers: Message, body: bytes) -> Reply:
        """Return the response to a request of one of the clouds, or 404 if it is none."""
        if path.startswith("/v1/images:annotate"):
            cloud = "google"
            (request,) = json.loads(body)["requests"]
            if [feature["type"] for feature in request["features"]] not in (["DOCUMENT_TEXT_DETECTION"], [11]):
                return Reply(400)
            content, credential = base64.b64decode(request["image"]["content"]), headers["Authorization"]
        elif headers.get("X-Amz-Target") == "RekognitionService.DetectText":
            cloud = "aws"
            content, credential = base64.b64decode(json.loads(body)["Image"]["Bytes"]), headers["Authorization"]
        elif path.startswith("/computervision/imageanalysis:analyze?") and "features=read" in path:
            cloud = "azure"
            content, credential = body, headers["Ocp-Apim-Subscription-Key"]
        else:
            return Reply(404)
        self.images[cloud].append(content)
        self.credentials.append(credential)
        replies = self.replies[cloud]
        return replies.pop(0) if len(replies) > 1 else replies[0]
