"""tidal chat, through a pipe and on a terminal."""

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import time
import unittest

from support import MODEL, TIDAL, TIMEOUT, Case, Running


class Pipe(Case):
    def chat(self, lines, *words):
        return self.good("chat", "-m", MODEL, "-n", "8", *words, stdin=lines)

    def test_answers_go_to_stdout_and_the_rest_to_stderr(self):
        result = self.chat("hello\n/stats\n")
        self.assertTrue(result.out.endswith("\n"))
        self.assertNotIn(">", result.err)
        self.assertIn("/help", result.err)
        self.assertRegex(result.err, r"\d+ prompt tokens .*; tidal read")
        self.assertNotIn("prompt tokens", result.out)

    def test_commands(self):
        result = self.chat("/help\n/stats\n/frob\n/method guess\n/method quest\n/budget lots\n"
                           "/budget 64\n/file /nowhere/x\n/clear\n/exit\nnot reached\n")
        self.assertEqual(result.out, "")
        for part in ("/method NAME", "nothing has been answered yet", "unknown command '/frob'",
                     "unknown method 'guess'; available: full, tidal",
                     "from the next answer on: quest", "budget:lots", "a budget of 64",
                     "cannot read /nowhere/x"):
            self.assertIn(part, result.err)

    def test_json_gives_a_line_per_answer(self):
        lines = self.chat("hello\n/help\nagain\n", "--json").out.splitlines()
        self.assertEqual(len(lines), 2)
        for line in lines:
            self.assertEqual(json.loads(line)["method"], "tidal")

    def test_interrupt_while_it_waits_leaves(self):
        with Running("chat", "-m", MODEL, stdin=subprocess.PIPE) as run:
            run.interrupt()
            self.assertEqual(run.process.wait(timeout=TIMEOUT), 130)

    def test_the_method_changes(self):
        result = self.chat("/method full\nhello\n/stats\n/method window\n/budget 30\nhi\n/stats\n",
                           "--min-context", "0", "-v")
        self.assertRegex(result.err, r"; full read 100\.0 %")
        self.assertRegex(result.err, r"; window read \d\d?\.\d %")

    def test_a_bad_plan_leaves_the_conversation_alone(self):
        result = self.chat("/method tidal full:0-9\nhello\n/method tidal\nhello\n/stats\n")
        self.assertIn("error: plan: full: layer 9", result.err)
        self.assertIn("24 prompt tokens", result.err)  # one message, not two
        self.assertEqual(self.chat("hello\n").out, result.out)

    def test_a_conversation_that_outgrows_the_context(self):
        result = self.chat("a\n" + "x" * 100 + "\n/clear\nb\n/stats\n", "-c", "60")
        self.assertRegex(result.err, r"error: the prompt has \d+ tokens.* --ctx-size")
        self.assertIn("/clear forgets", result.err)
        self.assertIn("20 prompt tokens", result.err)

    def test_a_file_goes_before_the_message(self):
        path = self.write("note.txt", "12345")
        result = self.chat(f"/file {path}\nhello\n/stats\n")
        self.assertIn(f"{24 + 7} prompt tokens", result.err)

    def test_a_model_without_template(self):
        raw = MODEL.read_bytes().replace(b"tokenizer.chat_template", b"tokenizer.chat_tomplate")
        path = self.write("plain.gguf", raw)
        says = "warning: the model brings no chat template"
        self.assertEqual(self.good("chat", "-m", path, stdin="hi\nyou\n").err.count(says), 1)
        self.assertIn(says, self.good("generate", "-m", path, "-p", "a", "-n", "2", "--chat").err)
        self.good("generate", "-m", path, "-p", "a", "-n", "2")


class Terminal(Case):
    def endless_model(self):
        """The model without tokens that end an answer: names and key changed in place."""
        raw = MODEL.read_bytes()
        for name in (b"<|endoftext|>", b"<|im_end|>", b"eos_token_id"):
            raw = raw.replace(name, name.replace(b"e", b"x"))
        return self.write("endless.gguf", raw)

    def start(self, *words):
        self.seen = b""
        self.process, self.screen = pty.fork()
        if self.process == 0:
            os.environ["TERM"] = "xterm"
            os.execvp(TIDAL, [TIDAL, "chat", *words])
        self.addCleanup(os.close, self.screen)
        self.addCleanup(self.kill)
        self.wait_for(b"Ctrl-D leaves")
        self.wait_for(b"> ")

    def kill(self):
        if self.process:
            os.kill(self.process, signal.SIGKILL)
            os.waitpid(self.process, 0)

    def wait_for(self, pattern):
        """Reads on until the text is there; what came before it is consumed."""
        pattern = re.compile(pattern, re.DOTALL)
        end = time.monotonic() + TIMEOUT
        while not (found := pattern.search(self.seen)):
            self.assertLess(time.monotonic(), end, f"no {pattern} in {self.seen[-500:]}")
            if select.select([self.screen], [], [], 1)[0]:
                try:
                    self.seen += os.read(self.screen, 65536)
                except OSError:
                    self.fail(f"ended before {pattern}: {self.seen[-500:]}")
        before, self.seen = self.seen[: found.end()], self.seen[found.end():]
        return before

    def type(self, keys):
        os.write(self.screen, keys)

    def ends(self, status, keys=b""):
        """Types the keys until the program leaves: the line editor shows its prompt a moment before
        it takes over the terminal, and Ctrl-D in between is lost."""
        end = time.monotonic() + TIMEOUT
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                self.type(keys)
            if select.select([self.screen], [], [], 0.2)[0]:
                try:
                    self.seen += os.read(self.screen, 65536)
                except OSError:
                    pass  # the other side is closed
            done, result = os.waitpid(self.process, os.WNOHANG)
            if done:
                self.process = 0
                self.assertEqual(os.waitstatus_to_exitcode(result), status, self.seen[-500:])
                return
        self.fail(f"still running: {self.seen[-500:]}")

    def test_commands_editing_and_leaving(self):
        self.start("-m", str(MODEL), "-n", "8")
        self.type(b"/help\r")
        self.wait_for(rb"/method NAME.*\n> ")
        self.type(b"/frob\x7f\x7f\x7f\x7fstats\r")  # backspace
        self.wait_for(rb"nothing has been answered yet.*> ")
        self.type("hé世\r".encode())
        self.wait_for(rb"\n> ")
        self.type(b"/stats\r")
        # h, 2 bytes, 3 bytes: what was typed arrives as it is.
        self.wait_for(rb"\n%d prompt tokens.*> " % (24 - len("hello") + 6))
        self.type(b"\x1b[A\r")  # the last line again
        self.wait_for(rb"prompt tokens.*> ")
        self.ends(0, keys=b"\x04")

    def test_interrupt_at_the_prompt_gives_up_the_line(self):
        self.start("-m", str(MODEL), "-n", "8")
        for _ in range(3):
            self.type(b"half a li\x03")
            self.wait_for(rb"\n> ")
        self.type(b"/stats\r")
        self.wait_for(rb"nothing has been answered yet.*> ")
        self.type(b"/exit\r")
        self.ends(0)

    def test_interrupt_stops_the_answer_and_not_the_program(self):
        self.start("-m", str(self.endless_model()), "-c", "150000", "--method", "full")
        self.type(b"hello\r")
        self.wait_for(rb"hello\r\n.{200}")
        # Both at once: Ctrl-C throws away what the program has written and the test has not read, so
        # a second one that comes late could take the prompt or what is typed at it.
        self.type(b"\x03\x03")
        self.wait_for(rb"\r\n> ")
        self.type(b"/stats\r")
        self.wait_for(rb"24 prompt tokens.*> ")
        self.ends(0, keys=b"\x04")


if __name__ == "__main__":
    unittest.main()
