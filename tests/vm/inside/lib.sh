# What the tests in the machine share; sourced. sh of Debian (dash).
export HOME=/root LC_ALL=C.UTF-8
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# check NAME COMMAND...: one test; what it said is shown when it fails.
check() {
	name=$1
	shift
	if out=$("$@" 2>&1 </dev/null); then
		echo "ok - $name"
	else
		echo "not ok - $name"
		printf '%s\n' "$out" | tail -n 40 | sed 's/^/# /'
	fi
}

# says WORD COMMAND...: does its output hold this word?
says() {
	word=$1
	shift
	"$@" 2>&1 | tee /tmp/says | grep -q -e "$word" || { cat /tmp/says; false; }
}

until_so() { # COMMAND...: within 30 seconds.
	for _ in $(seq 150); do
		"$@" >/tmp/until 2>&1 && return 0
		sleep 0.2
	done
	cat /tmp/until
	return 1
}

fails() { ! "$@"; }
