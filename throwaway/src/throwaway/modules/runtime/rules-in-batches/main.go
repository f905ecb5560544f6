// The program rules-in-batches stands in for nft, iptables-restore and
// ip6tables-restore, by the name of which it is called. It hands over to the
// real one; when that could not tell the kernel so many rules at once, it
// tells them in several transactions.
//
// nft and iptables-nft put a transaction into one netlink message. To send a
// long one they enlarge the socket's buffer by SO_SNDBUFFORCE, which a user
// namespace may not (socket(7)), so that some hundred Services are too many
// for kube-proxy: "Message too long". In batches the rules are not changed at
// one stroke, which matters to no rule that refers to earlier ones only.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

const (
	linesPerBatch = 200
	tooLong       = "Message too long" // EMSGSIZE, as both programs print it
)

func main() {
	name := filepath.Base(os.Args[0])
	if err := run(name, os.Args[1:]); err != nil {
		var ended *exec.ExitError
		if errors.As(err, &ended) {
			os.Exit(ended.ExitCode()) // it has said why
		}
		fmt.Fprintln(os.Stderr, name+":", err)
		os.Exit(1)
	}
}

func run(name string, args []string) error {
	program, err := next(name)
	if err != nil {
		return err
	}
	if !changesRules(name, args) {
		return syscall.Exec(program, append([]string{name}, args...), os.Environ())
	}
	rules, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	complaint, err := tell(program, args, rules)
	if err != nil && bytes.Contains(complaint, []byte(tooLong)) {
		for _, batch := range batches(name, strings.Split(strings.TrimSpace(string(rules)), "\n")) {
			if complaint, err = tell(program, args, []byte(batch)); err != nil {
				break
			}
		}
	}
	os.Stderr.Write(complaint)
	return err
}

// next finds the program of this name that comes after this one on PATH.
func next(name string) (string, error) {
	own, err := os.Stat("/proc/self/exe")
	if err != nil {
		return "", err
	}
	for _, folder := range filepath.SplitList(os.Getenv("PATH")) {
		path := filepath.Join(folder, name)
		if found, err := os.Stat(path); err == nil && !os.SameFile(found, own) {
			return path, nil
		}
	}
	return "", fmt.Errorf("not found in %s", os.Getenv("PATH"))
}

// changesRules tells whether rules come in by standard input and are not only checked.
func changesRules(name string, args []string) bool {
	if name != "nft" {
		return !slices.Contains(args, "--test") && !slices.Contains(args, "-t")
	}
	file := slices.Index(args, "-f")
	return file >= 0 && file+1 < len(args) && args[file+1] == "-" && !slices.Contains(args, "--check")
}

// tell runs the program with rules as its input, and returns what it says on standard error.
func tell(program string, args []string, rules []byte) ([]byte, error) {
	var complaint bytes.Buffer
	command := exec.Command(program, args...)
	command.Stdin = bytes.NewReader(rules)
	command.Stdout = os.Stdout
	command.Stderr = &complaint
	err := command.Run()
	return complaint.Bytes(), err
}

// batches cuts rules into inputs that are complete by themselves. A line of nft
// is a command; in iptables' format lines stand between *TABLE and COMMIT.
func batches(name string, lines []string) []string {
	var done []string
	if name == "nft" {
		for batch := range slices.Chunk(lines, linesPerBatch) {
			done = append(done, strings.Join(batch, "\n")+"\n")
		}
		return done
	}
	var table string
	var batch []string
	commit := func() {
		if len(batch) > 0 {
			done = append(done, table+"\n"+strings.Join(batch, "\n")+"\nCOMMIT\n")
		}
		batch = nil
	}
	for _, line := range lines {
		switch {
		case strings.HasPrefix(line, "*"):
			table = line
		case line == "COMMIT":
			commit()
		default:
			if batch = append(batch, line); len(batch) == linesPerBatch {
				commit()
			}
		}
	}
	return done
}
