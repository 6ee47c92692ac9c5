"""A small language model with random weights behind HTTP, for tests on a real GPU.

POST /generate {"tokens": N} answers once N tokens are made: {"tokens": N, "ttft": seconds}. Requests are decoded
together, one step for all that are in flight. GET /health answers 200 once the model is warm.
"""

import argparse
import json
import queue
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import torch

HIDDEN, HEADS, CONTEXT, VOCABULARY = 4096, 32, 1024, 32000


class Decoder:
    """Makes the next token of every slot; the step is one CUDA graph, so that the GPU and not Python is measured."""

    def __init__(self, layers, slots):
        torch.manual_seed(1)
        self.slots = slots
        make = lambda *shape: torch.randn(*shape, device="cuda", dtype=torch.bfloat16) * 0.02
        self.embedding, self.head = make(VOCABULARY, HIDDEN), make(HIDDEN, VOCABULARY)
        self.layers = [
            (make(HIDDEN, 3 * HIDDEN), make(HIDDEN, HIDDEN), make(HIDDEN, 4 * HIDDEN), make(4 * HIDDEN, HIDDEN))
            for _ in range(layers)
        ]
        size = HIDDEN // HEADS
        self.cache = [
            [torch.zeros(slots, HEADS, CONTEXT, size, device="cuda", dtype=torch.bfloat16) for _ in range(2)]
            for _ in range(layers)
        ]
        self.token = torch.zeros(slots, device="cuda", dtype=torch.long)
        self.position = torch.zeros(slots, device="cuda", dtype=torch.long)
        self.places = torch.arange(CONTEXT, device="cuda")
        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream), torch.no_grad():
            for _ in range(3):
                self.step()
        torch.cuda.synchronize()
        self.graph = torch.cuda.CUDAGraph()
        with torch.no_grad(), torch.cuda.graph(self.graph):
            self.step()

    def step(self):
        x = self.embedding[self.token]
        mask = (self.places[None, :] <= self.position[:, None])[:, None, None, :]
        rows = torch.arange(self.slots, device="cuda")
        for (qkv, out, up, down), (keys, values) in zip(self.layers, self.cache):
            q, k, v = (torch.nn.functional.rms_norm(x, (HIDDEN,)) @ qkv).view(self.slots, 3, HEADS, -1).unbind(1)
            keys[rows, :, self.position], values[rows, :, self.position] = k, v
            seen = torch.nn.functional.scaled_dot_product_attention(q[:, :, None], keys, values, attn_mask=mask)
            x = x + seen.reshape(self.slots, HIDDEN) @ out
            x = x + torch.nn.functional.silu(torch.nn.functional.rms_norm(x, (HIDDEN,)) @ up) @ down
        self.token.copy_((x @ self.head).argmax(-1))
        self.position.add_(1).remainder_(CONTEXT)

    def next(self):
        self.graph.replay()
        torch.cuda.synchronize()


class Request:
    def __init__(self, tokens):
        self.tokens, self.made, self.ttft = tokens, 0, 0.0
        self.began, self.done = time.perf_counter(), threading.Event()


def decode(model, waiting):
    """Gives free slots to waiting requests, and steps while there are any."""
    active = {}
    while True:
        while len(active) < model.slots:
            try:
                request = waiting.get(block=not active)
            except queue.Empty:
                break
            slot = next(s for s in range(model.slots) if s not in active)
            active[slot] = request
            model.position[slot] = 0
        model.next()
        now = time.perf_counter()
        for slot, request in list(active.items()):
            request.made += 1
            if request.made == 1:
                request.ttft = now - request.began
            if request.made >= request.tokens:
                del active[slot]
                request.done.set()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--slots", type=int, default=8)
    options = parser.parse_args()
    model, waiting = Decoder(options.layers, options.slots), queue.Queue()
    threading.Thread(target=decode, args=(model, waiting), daemon=True).start()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self, code, body):
            data = json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self):
            self.answer(200 if self.path == "/health" else 404, {})

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            request = Request(int(body["tokens"]))
            waiting.put(request)
            request.done.wait()
            self.answer(200, {"tokens": request.made, "ttft": request.ttft})

        def log_message(self, *_):
            pass

    print(f"{options.layers} layers on {torch.cuda.get_device_name()}", flush=True)
    ThreadingHTTPServer((options.host, options.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
