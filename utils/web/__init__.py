"""The web page: both models in a browser, on a phone or a desktop. No image leaves the device.

``page/`` holds the page itself: HTML, CSS and plain JavaScript modules. ``build_page`` puts it into
a folder together with the models, as the ONNX graphs of ``graphs``, and with the runtime from its
npm package. ``serve_page`` serves the folder on this machine. The command is
``python -m utils.web``.
"""

from utils.web.build import PAGE_DIR, WebError, build_page
from utils.web.serve import make_server, serve_page

__all__ = ["PAGE_DIR", "WebError", "build_page", "make_server", "serve_page"]
