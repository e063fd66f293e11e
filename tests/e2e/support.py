"""Runs the program as a stranger would, and checks what every command promises.

TIDAL names the program; without it, `tidal` from PATH is tested.
"""

import http.client
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import threading
import time
import unittest

TIDAL = os.environ.get("TIDAL", "tidal")
DATA = pathlib.Path(__file__).resolve().parent.parent / "data"
MODEL = DATA / "tiny-llama.gguf"  # 4 layers, byte tokens, context 2048, chat template
LAYERS, KV_HEADS = 4, 2
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
DEFAULT_MODEL = CACHE / "tidal" / "SmolLM2-135M-Instruct.Q4_1.gguf"
METHODS = ("full", "tidal", "quest", "window", "oracle")
TIMEOUT = 180  # seconds; far more than any case takes, also under a sanitizer on a busy machine


class Result:
    def __init__(self, status, out, err):
        self.status, self.out_bytes = status, out
        self.out = out.decode("utf-8", "replace")
        self.err = err.decode("utf-8", "replace")

    def json(self):
        return json.loads(self.out_bytes)  # strict: one value, valid UTF-8

    def __repr__(self):
        return f"status {self.status}\nstdout: {self.out[:2000]}\nstderr: {self.err[:2000]}"


def tidal(*words, stdin=b"", **options):
    """One run to its end."""
    command = [TIDAL, *(os.fspath(w) if isinstance(w, os.PathLike) else w for w in words)]
    done = subprocess.run(
        [w if isinstance(w, bytes) else str(w) for w in command],
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        capture_output=True, timeout=TIMEOUT, **options)
    return Result(done.returncode, done.stdout, done.stderr)


class Case(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="tidal-e2e-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def write(self, name, content):
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def good(self, *words, **options):
        result = tidal(*words, **options)
        self.assertEqual(result.status, 0, result)
        return result

    def good_json(self, *words, **options):
        result = self.good(*words, "--json", **options)
        self.assertEqual(result.out.count("\n"), 1, result)
        return result.json()

    def refused(self, result, status, *parts):
        """An error: its status, one line on stderr that holds the parts, nothing on stdout."""
        self.assertEqual(result.status, status, result)
        self.assertEqual(result.out, "", result)
        self.assertRegex(result.err, r"\Aerror: [^\n]+\n\Z", result)
        for part in parts:
            self.assertIn(part, result.err, result)

    def fails(self, *words, says=(), **options):
        self.refused(tidal(*words, **options), 1, *says)

    def misused(self, *words, says=(), **options):
        self.refused(tidal(*words, **options), 2, *says, "--help")

    def check_rows(self, rows):
        self.assertEqual(set(rows), {"read", "total", "share"})
        self.assertIsInstance(rows["read"], int)
        self.assertIsInstance(rows["total"], int)
        self.assertGreaterEqual(rows["read"], 0)
        self.assertLessEqual(rows["read"], rows["total"])
        if rows["total"]:
            self.assertAlmostEqual(rows["share"], rows["read"] / rows["total"], places=9)


class Running:
    """A run that is still going on."""

    def __init__(self, *words, stdin=subprocess.DEVNULL):
        self.process = subprocess.Popen(
            [TIDAL, *(str(w) for w in words)], stdin=stdin,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def interrupt(self):
        """As soon as the program has got as far as handling it, and a little later."""
        self.wait_until_caught()
        time.sleep(0.1)
        self.process.send_signal(signal.SIGINT)

    def wait_until_caught(self):
        end = time.monotonic() + TIMEOUT
        while time.monotonic() < end:
            status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
            caught = re.search(r"SigCgt:\s*([0-9a-f]+)", status)
            if not caught or int(caught[1], 16) >> (signal.SIGINT - 1) & 1:
                return
            time.sleep(0.01)

    def end(self):
        out, err = self.process.communicate(timeout=TIMEOUT)
        return Result(self.process.returncode, out, err)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


class Server:
    """A server on a free port; ends with the `with` block."""

    def __init__(self, *flags, model=MODEL, env=None):
        self.process = subprocess.Popen(
            [TIDAL, "serve", "-m", str(model), "--port", "0", "--temp", "0", "-t", "1",
             *map(str, flags)],
            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
            env={**os.environ, **(env or {})})
        self.log = []
        self.urls = []
        self.up = threading.Event()
        threading.Thread(target=self.read, daemon=True).start()
        assert self.up.wait(TIMEOUT), self.log
        self.port = int(self.urls[0].rsplit(":", 1)[1]) if self.urls[0].startswith("http") else 0

    def read(self):
        for line in self.process.stderr:
            self.log.append(line.decode())
            if self.log[-1].startswith("listening on "):
                self.urls.append(self.log[-1].split()[2])
            if self.log[-1].startswith("try: "):
                self.up.set()

    def send(self, method, path, body=None, headers=None, raw=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
        data = raw if raw is not None else None if body is None else json.dumps(body)
        connection.request(method, path, data, headers or {})
        try:
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        try:
            return response.status, json.loads(text), response
        except ValueError:
            return response.status, text, response

    def post(self, path, **body):
        status, reply, _ = self.send("POST", path, body)
        assert status == 200, reply
        return reply

    def events(self, path, **body):
        """The data of a stream's events, as JSON; [DONE] is left out."""
        status, text, response = self.send("POST", path, {**body, "stream": True})
        assert status == 200, text
        assert response.getheader("content-type").startswith("text/event-stream")
        lines = [line[6:] for line in text.split("\n") if line.startswith("data: ")]
        return [json.loads(line) for line in lines if line != "[DONE]"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(TIMEOUT)
        finally:
            self.process.kill()
            self.process.stderr.close()
