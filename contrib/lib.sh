# Shared by contrib/check and contrib/quickstart; sourced, not run. Needs bash.

say() { printf '%s\n' "$*"; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 111; }

# as_root COMMAND...: as root, by sudo where we are not.
as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

# packages_missing FILE...: the packages of these lists that are not installed.
packages_missing() {
	local name command

	sed -e 's/#.*//' -e 's/[[:space:]]//g' "$@" | while IFS=: read -r name command; do
		[ -n "$name" ] || continue
		if [ -n "$command" ]; then
			command -v "$command" >/dev/null || say "$name"
		elif ! dpkg-query -W -f '${Status}' "$name" 2>/dev/null |
		    grep -q 'ok installed'; then
			say "$name"
		fi
	done
}

# packages_install FILE...: install what is missing, asking the network only then.
packages_install() {
	local missing

	command -v dpkg-query >/dev/null ||
	    die "this is not Debian: install what $* name and try again"
	missing=$(packages_missing "$@")
	[ -n "$missing" ] || return 0
	export DEBIAN_FRONTEND=noninteractive
	# shellcheck disable=SC2086 # one word a package
	as_root apt-get install -y -qq --no-install-recommends $missing ||
	    { as_root apt-get update -qq &&
		as_root apt-get install -y -qq --no-install-recommends $missing; }
}

# agents_install DIR FILE: the npm packages that FILE lists, below DIR.
agents_install() {
	local dir=$1 list package script

	list=$(sed -e 's/#.*//' "$2" | xargs)
	mkdir -p "$dir"
	if [ "$(cat "$dir/installed" 2>/dev/null)" = "$list" ]; then
		return 0
	fi
	# shellcheck disable=SC2086 # one word a package
	npm install --prefix "$dir" --no-audit --no-fund --loglevel=error $list
	# Newer npm leaves the packages' own last step to us.
	for package in $list; do
		script=$dir/node_modules/${package%@*}/install.cjs
		[ ! -f "$script" ] || (cd "${script%/*}" && node install.cjs)
	done
	say "$list" >"$dir/installed"
}
