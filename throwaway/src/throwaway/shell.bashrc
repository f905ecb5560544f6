# Read by the bash of 'throwaway shell', in place of ~/.bashrc, which may change PATH (pyenv, conda, nvm do).
[ -r ~/.bashrc ] && . ~/.bashrc
PATH=$THROWAWAY_PATH
unset THROWAWAY_PATH
PS1="($THROWAWAY_CLUSTER) ${PS1-\$ }"
