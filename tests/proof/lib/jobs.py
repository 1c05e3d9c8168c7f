# A shell on a terminal of its own, and a person at it: starts a job (by the words
# of our first argument, or by none), Ctrl-Z, fg, Ctrl-C. Says how far it came.
import os
import pty
import select
import sys
import time

prefix = sys.argv[1]
pid, fd = pty.fork()
if pid == 0:
	os.environ["PS1"] = "prompt> "
	os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])

seen = ""


def expect(what, seconds=20):
	global seen
	end = time.time() + seconds
	while what not in seen:
		if time.time() > end or not select.select([fd], [], [], 1)[0]:
			if time.time() > end:
				sys.stderr.write("no %r in %r\n" % (what, seen))
				os.close(fd)
				sys.exit(1)
			continue
		try:
			seen += os.read(fd, 4096).decode("utf-8", "replace")
		except OSError:
			sys.stderr.write("end; no %r in %r\n" % (what, seen))
			sys.exit(1)
	seen = seen.split(what, 1)[1]


def say(what):
	os.write(fd, what.encode())


def at_end():
	sys.stdout.flush()
	os.close(fd)
	os.waitpid(pid, 0)


expect("prompt> ")
# It reads from the terminal, so it must have the foreground; `echo` is off, so
# that what we type is not taken for what it says.
say("stty -echo\n")
expect("prompt> ")
say(prefix + " perl -e '$|=1; print qq(up\\n); while (<STDIN>) { print qq(got $_) }'\n")
expect("up")
say("one\n")
expect("got one")
sys.stdout.write("started")
say("\x1a")
expect("Stopped")
expect("prompt> ")
say("echo sh''ell\n")
expect("shell")
expect("prompt> ")
sys.stdout.write(" stopped")
say("fg\n")
expect("perl")
say("two\n")
expect("got two")
sys.stdout.write(" continued")
say("\x03")
expect("prompt> ")
say("echo status $?\n")
expect("status 130")
expect("prompt> ")
say("exit\n")
sys.stdout.write(" ended\n")
at_end()
