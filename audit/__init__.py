"""Known vulnerabilities of what is installed and built, and the licences of what is shipped.

`scan` asks pip-audit and govulncheck, `accepted` holds the answers against those that were accepted for a while.
`licences` reads the licences of the Go modules that are in the cluster's programs.
"""
