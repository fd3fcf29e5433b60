#compdef opstac
# zsh completion of opstac: source <(opstac completion zsh), or this file as _opstac in $fpath
_opstac() {
    local -a values
    local line files program=${(Q)words[1]}
    for line in "${(@f)$(${~program} __complete "${(@Q)words[2,CURRENT]}" 2>/dev/null </dev/null)}"; do
        if [[ $line == ':files' ]]; then
            files=1
        elif [[ -n $line ]]; then
            values+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
        fi
    done
    (( $#values )) && _describe -t values opstac values
    [[ -n $files ]] && _files
}
if [[ $funcstack[1] == _opstac ]]; then
    _opstac "$@"
else
    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit -u; }
    compdef _opstac opstac
fi
