"""A stream on loopback as network cameras send it: one JPEG after another in an endless answer."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np


class Stream:
    """Sends a list of images again and again; can be stopped and started on the same port.

    Attributes:
        sent: when each image was last sent, by its position in the list, on the monotonic clock.
    """

    def __init__(self, images: list[np.ndarray], fps: float = 25.0, port: int = 0) -> None:
        self.parts = [
            cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()
            for image in images
        ]
        self.fps = fps
        self.port = port
        self.sent: dict[int, float] = {}

    def start(self) -> "Stream":
        stream = self
        alive = threading.Event()
        alive.set()

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args) -> None:
                pass

            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                number = 0
                due = time.monotonic()
                try:
                    while alive.is_set():
                        position = number % len(stream.parts)
                        part = stream.parts[position]
                        stream.sent[position] = time.monotonic()
                        head = (
                            "--frame\r\nContent-Type: image/jpeg\r\n"
                            f"Content-Length: {len(part)}\r\n\r\n"
                        )
                        self.wfile.write(head.encode() + part + b"\r\n")
                        number += 1
                        due = max(due + 1 / stream.fps, time.monotonic())
                        time.sleep(max(0.0, due - time.monotonic()))  # sending takes time too
                except OSError:
                    pass  # the client has gone

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._alive = alive
        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_port
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()
        return self

    def kill(self) -> None:
        self._alive.clear()
        self._server.shutdown()
        self._server.server_close()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/stream.mjpg"

    def __enter__(self) -> "Stream":
        return self.start()

    def __exit__(self, *args) -> None:
        self.kill()
