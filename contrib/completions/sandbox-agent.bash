# Completion of sandbox-agent for bash. Commands and flags come from the program
# itself, by its help.

_sandbox_agent()
{
	local cur=${COMP_WORDS[COMP_CWORD]} words="" word line i
	local -a said=()

	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-t | --token | -e | --endpoint) i=$((i + 1)) ;;
		-*) ;;
		*) said+=("${COMP_WORDS[i]}") ;;
		esac
	done
	# Only words of its own are given back to it: help starts nothing.
	case ${said[0]:-} in
	"" | daemon | credentials | install | api | server | install-agent | opencode) ;;
	*) return ;;
	esac
	while IFS= read -r line; do
		case $cur in
		-*)
			[[ $line =~ ^\ \ .{4}(--[a-z-]+) ]] &&
				words+="${BASH_REMATCH[1]} "
			;;
		*)
			[[ $line =~ ^\ \ ([a-z][a-z -]*) ]] || continue
			read -ra line <<<"${BASH_REMATCH[1]}"
			# The word that comes next, of those that go on as ours do.
			if [ "${said[0]:-}" = api ]; then
				line=(api "${line[@]}")
			fi
			if [ "${line[*]:0:${#said[@]}}" = "${said[*]}" ] &&
				[ ${#line[@]} -gt ${#said[@]} ]; then
				words+="${line[${#said[@]}]} "
			fi
			;;
		esac
	done < <(if [[ $cur == -* || ${said[0]:-} == api ]]; then
		sandbox-agent "${said[@]}" --help 2>/dev/null
	else
		sandbox-agent --help 2>/dev/null
	fi)
	for word in $words; do
		if [[ $word == "$cur"* && " ${COMPREPLY[*]} " != *" $word "* ]]; then
			COMPREPLY+=("$word")
		fi
	done
	if [ ${#COMPREPLY[@]} -eq 0 ]; then
		compopt -o default 2>/dev/null
	fi
}

complete -F _sandbox_agent sandbox-agent
