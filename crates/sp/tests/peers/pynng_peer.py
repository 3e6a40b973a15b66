"""A peer made of nng's own implementation. Each mode prints one JSON line per thing observed."""

import json
import sys
import time

import pynng


def say(*what):
    print(json.dumps(what), flush=True)


def outcome(action):
    try:
        return action()
    except pynng.exceptions.NNGException as error:
        return type(error).__name__


def wait():
    """Keeps the socket open until the test closes our standard input."""
    sys.stdin.read()


def req_timeout(path):
    with pynng.Req0(dial=path, recv_timeout=300) as req:
        req.send(b"first")
        say("unanswered", outcome(req.recv))
        say("no request", outcome(req.recv))
        req.send(b"second")
        req.recv_timeout = 20000
        say("answered", req.recv().decode())


def req_resend(path):
    with pynng.Req0(dial=path, resend_time=50, recv_timeout=20000) as req:
        req.send(b"again and again")
        say("answered", req.recv().decode())


def req_loop(path):
    with pynng.Req0(dial=path, recv_timeout=20000) as req:
        req.send(b"handshake")
        for _ in range(3):
            say("command", req.recv().decode())
            req.send(b"ok")
        wait()


def push(path):
    with pynng.Push0(dial=path, send_timeout=20000) as push:
        for message in (b"one", b"two", b"three", b"", b"x" * 1_000_000):
            push.send(message)
        wait()


def push_many(path):
    with pynng.Push0(dial=path, send_timeout=20000) as push:
        for number in range(20000):
            push.send(b"%d" % number)
        wait()


def pull(path, slow="0"):
    with pynng.Pull0(listen=path, recv_timeout=20000) as pull:
        say("listening")
        total = 0
        while True:
            message = pull.recv()
            if message == b"end":
                break
            total += 1
            time.sleep(float(slow))
        say("received", total)


def wrong(path, kind):
    with getattr(pynng, kind)() as socket:
        # Does not fail: nng goes on trying in the background.
        socket.dial(path, block=False)
        wait()


def listen_wrong(path):
    with pynng.Rep0(listen=path):
        say("listening")
        wait()


{
    "req_timeout": req_timeout,
    "req_resend": req_resend,
    "req_loop": req_loop,
    "push": push,
    "push_many": push_many,
    "pull": pull,
    "wrong": wrong,
    "listen_wrong": listen_wrong,
}[sys.argv[1]]("ipc://" + sys.argv[2], *sys.argv[3:])
