# Completion of sandboxd for bash: its options come from `sandboxd --help`; behind
# `--` stands a command with its own.

_sandboxd()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} i

	for ((i = 1; i < COMP_CWORD; i++)); do
		if [[ ${COMP_WORDS[i]} == -- ]]; then
			if declare -F _command_offset >/dev/null; then
				_command_offset $((i + 1))
			else
				mapfile -t COMPREPLY < <(compgen -cf -- "$cur")
			fi
			return
		fi
	done
	case $prev in
	--log-level) mapfile -t COMPREPLY < <(
		compgen -W "error warn info debug" -- "$cur") ;;
	--log-format) mapfile -t COMPREPLY < <(
		compgen -W "text json" -- "$cur") ;;
	-p | --parent-death) mapfile -t COMPREPLY < <(
		compgen -A signal -- "$cur") ;;
	-c | --config | --token-file | --tls-cert | --tls-key)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		;;
	--*-dir) mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
	*) mapfile -t COMPREPLY < <(compgen -W "-- $(sandboxd --help |
		grep -oE -- '(^|[ ,[])-(-[a-z-]+|[a-zA-Z])\b' | tr -d ' ,[')" \
		-- "$cur") ;;
	esac
}

complete -o filenames -F _sandboxd sandboxd
