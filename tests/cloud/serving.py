"""A service on a free port of this machine, and what the tests ask it."""

import io
import socket
import threading
import time
from contextlib import contextmanager

import numpy as np
import uvicorn
from PIL import Image
from sklearn.linear_model import LogisticRegression

from ricsk import CNNClassifier

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (12, 8, 8, 3), np.uint8)
TEXTS = np.array(["cat", "dög", "fox"])[np.arange(12) % 3]
NETWORK = CNNClassifier(width=4, depth=1, epochs=1, random_state=0).fit(X, TEXTS)
LINEAR = LogisticRegression().fit(X.reshape(12, -1) / 255, np.arange(12) % 2)


@contextmanager
def running(app):
    """Run an application; gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, log_config=None, access_log=False)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive()
                time.sleep(0.005)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def encode_png(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()
