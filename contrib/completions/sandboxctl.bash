# Completion of sandboxctl for bash. Commands and flags come from the program
# itself (`sandboxctl help --words`), ids from the supervisor if one answers.

_sandboxctl_ids()
{
	case $1 in
	get | exec | shell | stop | start | rm | diff | apply | pause | resume | \
		renew | update | history | expose | unexpose | cp | ps | stats | \
		attach | execs | logs | wait | kill | forget)
		sandboxctl "${_sandboxctl_socket[@]}" ls --quiet 2>/dev/null
		;;
	prompt | events | reply | cancel | "session get" | "session set" | \
		"session end" | "session rm")
		sandboxctl "${_sandboxctl_socket[@]}" session ls --quiet \
			2>/dev/null
		;;
	"token revoke")
		sandboxctl "${_sandboxctl_socket[@]}" token list --quiet \
			2>/dev/null
		;;
	run | "session new" | "agents install")
		sandboxctl "${_sandboxctl_socket[@]}" agents ls --quiet \
			2>/dev/null
		;;
	esac
}

# Is this the first of two words that name a command?
_sandboxctl_takes_two()
{
	case $1 in
	session | token | agents | credentials) return 0 ;;
	esac
	return 1
}

_sandboxctl()
{
	local cur=${COMP_WORDS[COMP_CWORD]} word command="" words i
	local -a _sandboxctl_socket=()

	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		case $word in
		--socket | --endpoint | --token | --token-file)
			_sandboxctl_socket+=("$word" "${COMP_WORDS[i + 1]}")
			i=$((i + 1))
			;;
		-*) ;;
		*)
			if [ -z "$command" ]; then
				command=$word
			elif _sandboxctl_takes_two "$command"; then
				command="$command $word"
			fi
			;;
		esac
	done
	case $cur in
	-*)
		# $command is one or two words on purpose.
		# shellcheck disable=SC2086
		words=$(sandboxctl help --words $command 2>/dev/null)
		;;
	*)
		if [ -z "$command" ]; then
			words=$(sandboxctl help --words | sed 's/ .*//' |
				sort -u)
		elif _sandboxctl_takes_two "$command"; then
			words=$(sandboxctl help --words |
				sed -n "s/^$command //p")
		else
			words=$(_sandboxctl_ids "$command")
		fi
		;;
	esac
	# Not compgen -W: it would expand what stands in an id.
	while IFS= read -r word; do
		if [[ -n $word && $word == "$cur"* ]]; then
			COMPREPLY+=("$(printf '%q' "$word")")
		fi
	done <<<"$words"
	# Files, where neither an id nor a flag fits.
	if [ ${#COMPREPLY[@]} -eq 0 ]; then
		compopt -o default 2>/dev/null
	fi
}

complete -F _sandboxctl sandboxctl
