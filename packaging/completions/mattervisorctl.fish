complete --keep-order --exclusive --command mattervisorctl --arguments "(CTL_COMPLETE=fish mattervisorctl -- (commandline --current-process --tokenize --cut-at-cursor) (commandline --current-token))"
