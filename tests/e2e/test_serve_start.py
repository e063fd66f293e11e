"""How tidal serve starts, what its flags do, and how it ends."""

import http.client
import json
import signal
import socket
import threading
import time
import unittest

from support import MODEL, TIMEOUT, Case, Server


class Start(Case):
    def test_keys(self):
        keys = self.write("keys", "# two\nfrom-file\n")
        with Server("--api-key", "a,b", "--api-key-file", keys) as server:
            self.assertEqual(server.send("GET", "/health")[0], 200)
            self.assertEqual(server.send("GET", "/v1/models")[0], 401)
            for key in ("a", "b", "from-file"):
                headers = {"Authorization": f"Bearer {key}"}
                self.assertEqual(server.send("GET", "/v1/models", headers=headers)[0], 200)
            self.assertEqual([self.reused(server, key) for key in "aabb"], [0, 48, 0, 48],
                             "what one key's texts say is nobody else's")
        with Server(env={"TIDAL_API_KEY": "secret"}) as server:
            self.assertEqual(server.send("GET", "/v1/models")[0], 401)

    def reused(self, server, key):
        """Tokens that a prompt of 50 did not have to read."""
        _, reply, _ = server.send("POST", "/v1/completions",
                                  {"prompt": list(range(100, 150)), "max_tokens": 1},
                                  {"Authorization": f"Bearer {key}"})
        return reply["usage"]["prompt_tokens_details"]["cached_tokens"]

    def test_exposure_needs_a_key(self):
        self.misused("serve", "-m", MODEL, "--host", "0.0.0.0", says=["--api-key", "--no-auth"])

    def test_a_port_in_use(self):
        with Server() as server:
            self.fails("serve", "-m", MODEL, "--port", server.port, says=["127.0.0.1", "--port"])

    def test_shares_of_the_context(self):
        with Server("-c", 512, "-np", 2) as server:
            props = server.send("GET", "/props")[1]
            self.assertEqual(props["default_generation_settings"]["n_ctx"], 256)
            self.assertEqual(props["total_slots"], 2)

    def test_a_late_reply_begins_with_spaces(self):
        with Server("-np", 1, "-c", 2048, "--keepalive-json", 1) as server:
            for n, length, late in ((1, 1, False), (16, 1800, True)):
                connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=TIMEOUT)
                connection.request("POST", "/v1/completions", json.dumps(
                    {"prompt": "x", "n": n, "max_tokens": length, "ignore_eos": True}))
                response = connection.getresponse()
                text = response.read().decode()
                connection.close()
                self.assertEqual(text.startswith(" "), late)
                self.assertEqual(response.getheader("content-length") is None, late)
                self.assertTrue(response.getheader("content-type").startswith("application/json"))
                self.assertEqual(len(json.loads(text)["choices"]), n)

    def test_kv_events(self):
        with Server("--kv-events", "tcp://127.0.0.1:*") as server:
            said = [line for line in server.log if line.startswith("publishing what is cached at ")]
            self.assertRegex(said[0], r"tcp://127\.0\.0\.1:\d+$")
            server.post("/v1/completions", prompt=list(range(100, 150)), max_tokens=1)
        self.fails("serve", "-m", MODEL, "--kv-events", "nonsense", says=["--kv-events"])

    def test_metrics(self):
        with Server() as server:
            self.assertEqual(server.send("GET", "/metrics")[0], 501)
        with Server("--metrics", "--metrics-names", "tidal,vllm") as server:
            server.post("/v1/completions", prompt="one", max_tokens=5)
            text = server.send("GET", "/metrics")[1]
            self.assertIn("\ntidal:generated_tokens_total 5\n", text)
            self.assertIn("\nvllm:generation_tokens_total{model_name=", text)
            self.assertIn('tidal:time_to_first_token_seconds_bucket{le="', text)
            self.assertIn("\ntidal:time_to_first_token_seconds_count 1\n", text)
            self.assertIn("\ntidal:inter_token_latency_seconds_count 4\n", text)
            self.assertIn("\ntidal:requests_paused_total 0\n", text)
            self.assertNotIn("llamacpp:", text)

    def test_a_full_queue_is_429(self):
        with Server("-np", 1, "--max-queue", 1, "-c", 2048) as server:
            body = {"prompt": "x", "max_tokens": 1800, "ignore_eos": True}
            results = []
            threads = [threading.Thread(
                target=lambda: results.append(server.send("POST", "/v1/completions", body)))
                for _ in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(TIMEOUT)
            statuses = sorted(status for status, _, _ in results)
            self.assertEqual(statuses[0], 200)
            self.assertEqual(statuses[-1], 429)
            refused = next(r for r in results if r[0] == 429)
            self.assertEqual(refused[1]["error"]["type"], "rate_limit_error")
            self.assertTrue(refused[2].getheader("Retry-After"))

    def test_sigterm_lets_answers_end(self):
        with Server("-c", 2048) as server:
            result = []
            body = {"prompt": "x", "max_tokens": 1500, "ignore_eos": True}
            asking = threading.Thread(
                target=lambda: result.append(server.send("POST", "/v1/completions", body)))
            asking.start()
            time.sleep(0.1)
            server.process.send_signal(signal.SIGTERM)
            asking.join(TIMEOUT)
            self.assertEqual(server.process.wait(TIMEOUT), 0)
            self.assertEqual(result[0][0], 200)
            self.assertEqual(result[0][1]["usage"]["completion_tokens"], 1500)

    def test_unix_socket(self):
        path = self.folder / "t.sock"
        with Server("--host", path) as server:
            self.assertEqual(server.urls, [f"unix:{path}"])
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(path))
                client.sendall(b"GET /health HTTP/1.0\r\n\r\n")
                self.assertIn(b"200 OK", client.recv(4096))
        self.assertFalse(path.exists())


if __name__ == "__main__":
    unittest.main()
