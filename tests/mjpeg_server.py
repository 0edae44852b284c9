"""A stream on loopback, as network cameras send it: JPEG after JPEG in one answer that never ends."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np


class Stream:
    """Sends the pictures of a list round and round at a rate; can be killed and started again on the same port."""

    def __init__(self, images: list[np.ndarray], rate: float = 25.0, port: int = 0) -> None:
        self.parts = [
            cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()
            for image in images
        ]
        self.rate, self.port, self._server = rate, port, None
        self.times: dict[
            int, float
        ] = {}  # of each picture, by its place in the list: when it was sent last

    def start(self) -> "Stream":
        stream, alive = self, threading.Event()
        alive.set()

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args) -> None:
                pass

            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                number, due = 0, time.monotonic()
                try:
                    while alive.is_set():
                        part = stream.parts[number % len(stream.parts)]
                        stream.times[number % len(stream.parts)] = time.monotonic()
                        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(part)}\r\n\r\n"
                        self.wfile.write(head.encode() + part + b"\r\n")
                        number += 1
                        due = max(due + 1 / stream.rate, time.monotonic())
                        time.sleep(max(0.0, due - time.monotonic()))  # sending takes time too
                except OSError:
                    pass  # the other side has gone

        class Server(ThreadingHTTPServer):
            daemon_threads, allow_reuse_address = True, True

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
