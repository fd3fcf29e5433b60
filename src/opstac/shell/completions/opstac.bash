# bash completion of opstac: source <(opstac completion bash)
_opstac() {
    local line program=${COMP_WORDS[0]}
    # a path typed with ~ is not expanded yet
    case $program in '~/'*) program=$HOME/${program#'~/'} ;; esac
    COMPREPLY=()
    while IFS= read -r line; do
        if [[ $line == ':files' ]]; then
            compopt -o default
        else
            COMPREPLY+=("${line%%$'\t'*}")
        fi
    done < <("$program" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null </dev/null)
}
complete -F _opstac opstac
