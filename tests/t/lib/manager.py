#!/usr/bin/env python3
"""A service manager for tests: the parts of systemd that sandboxd speaks to.

    manager.py NAME=unix:PATH|tcp:PORT|tcp6:PORT... -- PROGRAM ARGUMENTS

It opens the sockets that are named, starts PROGRAM with them and a notify socket
($NOTIFY_SOCKET, made next to $MANAGER_DIR), keeps the descriptors that PROGRAM
stores, and starts it again with them when it dies by a signal. One line of JSON
on standard output for each thing that happens; it ends PROGRAM when standard
input ends. MANAGER_WRONG_PID=1: LISTEN_PID is somebody else's.
"""
import array
import json
import os
import select
import signal
import socket
import sys


def say(**what):
    print(json.dumps(what), flush=True)


def open_socket(spec):
    kind, where = spec.split(":", 1)
    if kind == "unix":
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.bind(where)
    elif kind == "dgram":
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind(("127.0.0.1", 0))
        return s
    else:
        family = socket.AF_INET6 if kind == "tcp6" else socket.AF_INET
        s = socket.socket(family, socket.SOCK_STREAM)
        s.bind(("::1" if kind == "tcp6" else "127.0.0.1", int(where)))
    s.listen(64)
    return s


def start(program, sockets, notify):
    """SOCKETS: (name, file descriptor). The child's numbers begin at 3."""
    pid = os.fork()
    if pid:
        return pid
    try:
        high = []
        for _, fd in sockets:
            import fcntl
            high.append(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 200))
        for i, fd in enumerate(high):
            os.dup2(fd, 3 + i)      # inheritable
        env = dict(os.environ, NOTIFY_SOCKET=notify)
        if sockets:
            wrong = 1 if os.environ.get("MANAGER_WRONG_PID") else 0
            env["LISTEN_PID"] = str(os.getpid() + wrong)
            env["LISTEN_FDS"] = str(len(sockets))
            env["LISTEN_FDNAMES"] = ":".join(n for n, _ in sockets)
        if "WATCHDOG_USEC" in env:
            env["WATCHDOG_PID"] = str(os.getpid())
        os.execve(program[0], program, env)
    finally:
        os._exit(127)


def receive(sock, kept):
    data, anc, _, _ = sock.recvmsg(65536, socket.CMSG_SPACE(64 * 4))
    fds = array.array("i")
    for level, kind, body in anc:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(body[:len(body) - len(body) % fds.itemsize])
    words = dict(w.split("=", 1) for w in data.decode().split("\n") if "=" in w)
    if words.get("FDSTORE") == "1":
        for fd in fds:
            if any(os.path.sameopenfile(fd, k) for _, k in kept):
                os.close(fd)        # as systemd does
            else:
                kept.append((words.get("FDNAME", "stored"), fd))
    else:
        for fd in fds:
            os.close(fd)
    if words.get("FDSTOREREMOVE") == "1":
        for name, fd in [k for k in kept if k[0] == words.get("FDNAME")]:
            kept.remove((name, fd))
            os.close(fd)
    say(notify=words, fds=len(fds))


def main():
    at = sys.argv.index("--")
    program = sys.argv[at + 1:]
    lent = []
    for word in sys.argv[1:at]:
        name, spec = word.split("=", 1)
        s = open_socket(spec)
        if s.family != socket.AF_UNIX:
            say(opened=name, port=s.getsockname()[1])
        lent.append((name, s.detach()))
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    abstract = os.environ.get("MANAGER_ABSTRACT")
    path = "@" + abstract if abstract else os.environ["MANAGER_DIR"] + "/notify"
    sock.bind("\0" + abstract if abstract else path)
    wake_r, wake_w = os.pipe()
    os.set_blocking(wake_w, False)
    signal.set_wakeup_fd(wake_w)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    kept = []
    pid = start(program, lent, path)
    say(started=pid)
    stopping = False
    while True:
        ready, _, _ = select.select([sock, wake_r] +
                                    ([] if stopping else [sys.stdin]), [], [])
        if sock in ready:
            receive(sock, kept)
        if wake_r in ready:
            os.read(wake_r, 64)
            got, status = os.waitpid(pid, os.WNOHANG)
            if got == pid:
                while select.select([sock], [], [], 0)[0]:
                    receive(sock, kept)
                code = os.waitstatus_to_exitcode(status)
                say(ended=code, kept=sorted(n for n, _ in kept))
                if stopping or code >= 0:
                    return
                pid = start(program, lent + kept, path)
                say(started=pid)
        if sys.stdin in ready and not sys.stdin.readline():
            stopping = True
            os.kill(pid, signal.SIGTERM)


main()
