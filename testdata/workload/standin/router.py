"""trtllm-serve disaggregated: sends a request's prefill to a context server and its decoding to a generation server."""

import argparse
import asyncio
import itertools
import json

import yaml

from . import files, minihttp, server


class Router:
    def __init__(self, context, generation):
        self.all = context + generation
        self.context = itertools.cycle(context) if context else None
        self.generation = itertools.cycle(generation)
        self.requests = 0

    async def handle(self, method, path, body, reply):
        if path == "/health":
            down = [a for a in self.all if not await healthy(a)]
            await reply.send(503 if down else 200, text=f"not healthy: {down}" if down else "")
        elif path == "/stats":
            await reply.send(200, {"requests": self.requests})
        elif method == "POST" and path == "/v1/completions":
            self.requests += 1
            try:
                await self.forward(json.loads(body), reply)
            except (OSError, RuntimeError) as e:
                print(f"ERROR request failed: {type(e).__name__}: {e}", flush=True)
                if reply.started:
                    raise ConnectionError("the answer cannot be finished") from e  # ends the connection: all there is to say
                await reply.send(500, {"error": f"{type(e).__name__}: {e}"})
        else:
            await reply.send(404, text=f"no {path}")

    async def forward(self, req, reply):
        if self.context:
            prefill = {**req, "max_tokens": 1, "stream": False, "disaggregated_params": {"request_type": "context_only"}}
            async with await minihttp.request(next(self.context), "POST", "/v1/completions", prefill) as answer:
                body = await answer.body()
                if answer.status != 200:
                    raise RuntimeError(f"context server answered {answer.status}: {body[:200]!r}")
            req["disaggregated_params"] = json.loads(body)["disaggregated_params"]
        async with await minihttp.request(next(self.generation), "POST", "/v1/completions", req) as answer:
            if answer.status != 200:
                raise RuntimeError(f"generation server answered {answer.status}")
            reply.start()
            async for chunk in answer.chunks():
                await reply.write(chunk)
            await reply.end()


async def healthy(address):
    try:
        async with await minihttp.request(address, "GET", "/health") as answer:
            return answer.status == 200
    except OSError:
        return False


async def main(options):
    with open(options.config, encoding="utf-8") as f:
        config = yaml.safe_load(f)
    router = Router(config["context_servers"].get("urls") or [], config["generation_servers"]["urls"])
    listening, vanish = await minihttp.serve(router.handle, config.get("hostname", "127.0.0.1"), int(config.get("port", 0)))
    address = "%s:%d" % listening.sockets[0].getsockname()[:2]
    print(f"routing on {address} to {router.all}", flush=True)
    files.publish(options.address_file, address + "\n")
    server.Doom(vanish).arm()
    await server.terminated()


def run(argv):
    p = argparse.ArgumentParser(prog="trtllm-serve disaggregated")
    p.add_argument("-c", "--config", required=True)
    p.add_argument("--address-file", required=True)
    minihttp.run(main(p.parse_args(argv)))
