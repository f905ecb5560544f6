// The program oci-without-cgroups is an OCI runtime that hands over to runc,
// after taking from a new container's config.json all that needs a cgroup.
//
// An ordinary account without a delegated cgroup may not write to any. runc
// passes over that only where the bundle asks for no cgroup path, no resource
// limits and no cgroup mount, and containerd 2 has no setting to leave them out.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "oci-without-cgroups:", err)
		os.Exit(1)
	}
}

func run() error {
	if slices.Contains(os.Args, "create") {
		if err := dropCgroups(filepath.Join(bundle(os.Args), "config.json")); err != nil {
			return err
		}
	}
	runc, err := exec.LookPath("runc")
	if err != nil {
		return err
	}
	return syscall.Exec(runc, append([]string{"runc"}, os.Args[1:]...), os.Environ())
}

// bundle returns the value of --bundle; without it runc takes the working directory.
func bundle(args []string) string {
	if i := slices.Index(args, "--bundle"); i >= 0 && i+1 < len(args) {
		return args[i+1]
	}
	return "."
}

// dropCgroups rewrites an OCI runtime specification in place. Everything that
// it does not name stays as containerd wrote it.
func dropCgroups(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var spec map[string]any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber() // limits may be larger than a float64 holds exactly
	if err := decoder.Decode(&spec); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if linux, ok := spec["linux"].(map[string]any); ok {
		linux["cgroupsPath"] = ""
		delete(linux, "resources")
	}
	if mounts, ok := spec["mounts"].([]any); ok {
		spec["mounts"] = slices.DeleteFunc(mounts, func(mount any) bool {
			m, ok := mount.(map[string]any)
			return ok && m["type"] == "cgroup"
		})
	}
	if text, err = json.Marshal(spec); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}
